"""Images arrive at a model that can see: a tiny Qwen2.5-VL behind the same server, asked by the same client."""

import base64
import io
import os
import subprocess
import sys

import httpx
import pytest
from PIL import Image, ImageDraw

from records.recipe import Serve
from rollouts.models.connections import ServerTraits
from rollouts.models.contract import Request
from rollouts.models.endpoint import Endpoint
from rollouts.models.local_server import LocalServer
from rollouts.models.weights import ModelFiles, default_cache, identity_of_directory
from tests.support import tiny_vision_model

pytestmark = [pytest.mark.model, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(policy_files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vision")
    environment = {"PYTHONPATH": str(tiny_vision_model.torchvision_folder(default_cache() / "test"))}
    command = [sys.executable, tiny_vision_model.__file__, str(policy_files.path), str(folder / "model")]
    subprocess.run(command, check=True, env=os.environ | environment, capture_output=True)
    files = ModelFiles(folder / "model", identity_of_directory(folder / "model", folder))
    serve = Serve(dtype="float32", max_model_len=2048, max_num_seqs=4, enforce_eager=True, kv_cache_gib=1)
    with LocalServer(files, serve, folder / "server.log", environment=environment, say=print) as running:
        yield running


def picture(width: int, height: int, colour: str) -> bytes:
    image = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(image).ellipse((width // 4, height // 4, width // 2, height // 2), fill=colour)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def messages(*images: bytes) -> list[dict]:
    blocks = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(data).decode()}"}}
        for data in images
    ]
    return [{"role": "user", "content": [*blocks, {"type": "text", "text": "Which colour?"}]}]


def image_tokens(server: LocalServer, data: bytes) -> int:
    """The tokens of an image as the model's own processor counts them, with those before and after."""
    from transformers import Qwen2VLImageProcessorPil

    processor = Qwen2VLImageProcessorPil.from_pretrained(server.files.path)
    grid = processor(images=[Image.open(io.BytesIO(data))], return_tensors="np")["image_grid_thw"][0]
    return int(grid.prod()) // processor.merge_size**2 + 2


async def ask(server: LocalServer, *images: bytes):
    async with Endpoint(server.start, server.name, server.fingerprint(), traits=ServerTraits(vllm=True)) as endpoint:
        return await endpoint.complete(Request(messages(*images), temperature=0.0, top_p=1.0, max_tokens=16))


def first_token(server: LocalServer, *images: bytes) -> dict[str, float]:
    """Log-probabilities of the 20 likeliest first tokens."""
    body = {"model": server.name, "messages": messages(*images), "max_tokens": 1, "temperature": 0}
    body |= {"logprobs": True, "top_logprobs": 20}
    reply = httpx.post(f"{server.url}/chat/completions", json=body, timeout=120, trust_env=False).raise_for_status()
    top = reply.json()["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    return {entry["token"]: entry["logprob"] for entry in top}


async def test_the_prompt_grows_as_the_image_processor_says(server):
    small, large = picture(64, 64, "red"), picture(256, 128, "red")
    assert image_tokens(server, large) > image_tokens(server, small) > 2
    bare = (await ask(server)).prompt_tokens
    for images in ([small], [large], [small, large]):
        expected = bare + sum(image_tokens(server, data) for data in images)
        assert (await ask(server, *images)).prompt_tokens == expected


async def test_what_is_in_the_image_decides_the_reply(server):
    red, blue = picture(128, 128, "red"), picture(128, 128, "blue")
    seen, again, other, none = (first_token(server, *images) for images in ([red], [red], [blue], []))
    assert seen.keys() == again.keys()
    assert max(abs(seen[token] - again[token]) for token in seen) < 1e-3
    for different in (other, none):
        shared = seen.keys() & different.keys()
        assert seen.keys() != different.keys() or max(abs(seen[t] - different[t]) for t in shared) > 0.05
    assert (await ask(server, red)).text == (await ask(server, red)).text
