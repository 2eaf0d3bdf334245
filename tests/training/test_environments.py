"""The python tool as TRL's environments: real sessions, and a stand-in where the subject is what is around them."""

import asyncio
import base64
import gc
import io
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from records.images.store import ImageStore
from records.recipe import Recipe, SandboxSettings
from records.recipe.section import RecipeError
from rollouts.tools import ToolContext, build_tool, session_seed
from sandbox import SandboxUnavailable
from tests.support.served_sandboxes import TOKEN, StandIn, open_sessions, served
from tests.support.training_rows import question
from training.environments import blocking, trl
from training.environments.episode import Episode, SandboxFault, row_images
from training.environments.trl import CUT_OFF, PythonEnvironments

SETTINGS = SandboxSettings(cell_timeout_s=2, memory_mb=512, sessions=4, libraries=["numpy", "PIL"])
PICTURE = "from PIL import Image\nImage.new('RGB', (60, 40), 'red')"
CALLS = [
    {"code": "x = 41\nprint('said')\nx + 1"},
    {"code": "x"},
    {"code": "1 / 0"},
    {"code": PICTURE},
    {"code": "while True: pass"},
    {"code": "x"},
    {"code": "image_1.size"},
    {"code": ""},
    {"code": 3},
    {"cod": "1"},
    {"code": "1", "timeout": 3, "self": 1},
    {},
]


def picture(color: str = "red", form: str = "PNG", mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (80, 40), color).convert(mode).save(buffer, form)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def real() -> Iterator[PythonEnvironments]:
    with PythonEnvironments(SETTINGS) as environments:
        yield environments


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    sandbox = StandIn()
    monkeypatch.setattr(trl, "build_sandbox", lambda settings: sandbox)
    return sandbox


def test_it_says_what_it_said_in_curation(real: PythonEnvironments, store: ImageStore, tmp_path: Path) -> None:
    recipe = Recipe.model_validate(
        {
            "name": "test",
            "sources": [{"name": "some", "loader": "some"}],
            "models": {"policy": {"url": "http://127.0.0.1:1/v1", "model": "m"}},
            "selection": [{"to": "rl"}],
            "sandbox": SETTINGS.model_dump(),
        }
    )
    curated = build_tool("python", ToolContext(recipe=recipe, images=store, data=str(tmp_path)))

    async def in_curation() -> list[str]:
        session = curated.open([store.put(picture())])
        try:
            return [(await session.call(arguments)).text for arguments in CALLS]
        finally:
            await session.close()

    expected = asyncio.run(in_curation())
    environment = real()
    environment.reset(prompt="?", images=[picture()])
    assert [environment.python(**arguments) for arguments in CALLS] == expected
    assert expected[:2] == ["said\n42", "41"] and "ZeroDivisionError" in expected[2]
    assert expected[3] == "[image of 60x40 pixels]" and "longer than 2 seconds" in expected[4]
    assert "NameError" in expected[5] and expected[6] == "(80, 40)" and expected[-1].startswith("Invalid call")

    from transformers.utils import get_json_schema

    schema = get_json_schema(environment.python)
    parameters = {key: value for key, value in curated.parameters.items() if key != "additionalProperties"}
    assert schema == {
        "type": "function",
        "function": {"name": "python", "description": curated.description, "parameters": parameters},
    }


def test_state_lasts_for_an_episode_and_no_longer(real: PythonEnvironments) -> None:
    one, other = real(), real()
    one.reset()
    other.reset()
    assert one.python("import os; x = 1; open('left', 'w').write('1')") == "1"
    assert one.python("x, os.path.exists('left')") == "(1, True)"
    assert "NameError" in other.python("x")
    one.reset()
    assert "NameError" in one.python("x") and one.python("import os; os.path.exists('left')") == "False"


def test_several_calls_at_once_are_one_after_the_other(real: PythonEnvironments) -> None:
    episode = Episode(real.sandbox(), SETTINGS, [])

    async def turn() -> list[Any]:
        codes = ("x = 1\n" + PICTURE, "x + 1", "x + 2")
        return await asyncio.gather(*(episode.call({"code": code}) for code in codes))

    results = blocking.run(turn())
    blocking.run(episode.close())
    assert [(result.text, len(images)) for result, images in results] == [
        ("[image of 60x40 pixels]", 1),
        ("2", 0),
        ("3", 0),
    ]


def test_result_images_are_content_blocks_for_a_policy_that_sees() -> None:
    with PythonEnvironments(SETTINGS, sees_images=True) as environments:
        environment = environments()
        environment.reset()
        assert environment.python("1") == "1"
        image, text = environment.python(PICTURE)
        assert text == {"type": "text", "text": "[image of 60x40 pixels]"}
        assert image["type"] == "image" and image["image"].size == (60, 40)
        assert image["image"].getpixel((0, 0)) == (255, 0, 0)
        clear, _ = environment.python("Image.new('RGBA', (40, 40), (0, 0, 0, 0))")
        assert clear["image"].mode == "RGB" and clear["image"].getpixel((0, 0)) == (255, 255, 255)
        assert environment.python("Image.new('RGB', (1, 300))").startswith("[image of 1x300 pixels: not shown, ")


def test_a_rows_sessions_draw_what_they_drew(real: PythonEnvironments) -> None:
    draw, asked = "import random\nrandom.random()", question(1)
    environment, drawn = real(), []
    exported = {"seed": str(session_seed(asked.question_id))}
    rows: list[dict[str, Any]] = [{"question": asked.model_dump_json()}, exported, exported, {"seed": "1"}, {}, {}]
    for row in rows:
        environment.reset(**row)
        drawn.append(environment.python(draw))
    assert drawn[0] == drawn[1] == drawn[2] and len(set(drawn)) == 4, "the seed of the question is that of its row"
    with pytest.raises(ValueError, match="invalid literal"):
        environment.reset(seed="none")


@pytest.mark.parametrize("form", ["bytes", "mapping", "pil", "path", "pil_mapping", "single", "prompt", "cmyk"])
def test_images_of_a_row_in_every_form(form: str, real: PythonEnvironments, tmp_path: Path) -> None:
    data = picture("red", "JPEG", "CMYK" if form == "cmyk" else "RGB")
    (tmp_path / "a.jpg").write_bytes(data)
    opened = Image.open(io.BytesIO(data))
    block = {"type": "image", "image": opened}
    row = {
        "bytes": {"images": [data]},
        "mapping": {"images": [{"bytes": data, "path": None}]},
        "pil": {"images": [opened]},
        "path": {"images": [str(tmp_path / "a.jpg")]},
        "pil_mapping": {"images": [{"image": opened}]},
        "single": {"image": opened},
        "prompt": {"prompt": [{"role": "user", "content": [{"type": "image", "text": None}, block]}]},
        "cmyk": {"images": [opened]},
    }[form]
    environment = real()
    environment.reset(**row)
    seen = environment.python("image_1.mode, image_1.size, image_1.getpixel((1, 1))")
    assert seen == repr((opened.mode, (80, 40), opened.getpixel((1, 1))))
    if form in ("bytes", "mapping", "path"):
        assert row_images(row) == [data], "the row's own bytes"


def test_images_of_a_question_come_from_the_store(store: ImageStore) -> None:
    data = picture("blue")
    row = {"question": question(1, images=[store.put(data)]).model_dump_json()}
    assert row_images(row, store) == [data]
    with pytest.raises(ValueError, match="give images_root"):
        row_images(row)
    with pytest.raises(FileNotFoundError):
        row_images({"question": question(1, images=["0" * 64]).model_dump_json()}, store)
    assert row_images({"question": "what is this?", "images": [data]}, store) == [data], "another's column"
    assert row_images({"images": None}) == row_images({}) == []
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    uri = "data:image/png;base64," + base64.b64encode(data).decode()
    block = {"type": "image_url", "image_url": {"url": uri}}
    of_pandas = np.empty(1, object)
    of_pandas[0] = {"bytes": data}
    for given in ({"images": of_pandas}, {"images": {"bytes": data}}, {"image": uri}):
        assert row_images(given) == [data]
    assert row_images({"prompt": [{"role": "user", "content": [block]}]}) == [data]
    for given in ({"image": pixels}, {"images": [pixels / 255]}, {"images": pixels.transpose(2, 0, 1)}):
        (file,) = row_images(given)
        assert (np.asarray(Image.open(io.BytesIO(file))) == pixels).all()
    with pytest.raises(ValueError, match="nothing is downloaded"):
        row_images({"image": "https://images.example/x.png"})
    for bad in (b"no image", {"path": None}, 3, picture()[:40]):
        with pytest.raises(ValueError):
            row_images({"images": [bad]})
    with pytest.raises(ValueError, match="at most"):
        row_images({"images": [Image.frombytes("RGB", (2400, 1600), os.urandom(2400 * 1600 * 3))] * 3})


def test_hundreds_of_episodes_leave_nothing_open(stand_in: StandIn) -> None:
    environments = PythonEnvironments(SETTINGS)
    made = [environments() for _ in range(4)]
    for number in range(300):
        for environment in made:
            environment.reset()
            assert environment.python(str(number)) == str(number)
        assert stand_in.open_now == 4
    made[0].reset()
    assert stand_in.open_now == 3, "opened by the first call"
    with pytest.raises(RecipeError, match=r"sandbox\.sessions: 4 sessions are too few"):
        environments()
    del made, environment
    gc.collect()
    blocking.run(asyncio.sleep(0.05))
    assert stand_in.open_now == 0
    environments().reset()  # those that are gone do not count
    environments.close()
    assert stand_in.closed


def test_a_fault_stops_the_training_unless_rewards_leave_it_out(stand_in: StandIn) -> None:
    environments = PythonEnvironments(SETTINGS)
    environment = environments()
    with pytest.raises(SandboxFault, match="before its first reset"):
        environment.python("1")
    for code in ("fault", "unavailable", "bug"):
        environment.reset()
        with pytest.raises(SandboxFault, match="not of the policy") as caught:
            environment.python(code)
        assert not isinstance(caught.value, Exception), "TRL would tell the policy"

    def ones(completions: list[str], **_: Any) -> list[float]:
        return [1.0] * len(completions)

    reward = environments.reward(ones)
    assert reward.__name__ == "ones"
    fine, logged = environments(), {}
    for one in (environment, fine):
        one.reset()
    assert environment.python("1") == "1"
    assert environment.python("fault") == environment.python("1") == CUT_OFF
    assert "the worker is gone" in environment.fault and environments.faults == 4
    given = reward(completions=["", ""], environments=[environment, fine], log_metric=logged.__setitem__)
    assert given == [None, 1.0] and logged == {"sandbox_faults": 1.0}

    class Twos:
        async def __call__(self, completions: list[str], **_: Any) -> list[float]:
            return [2.0] * len(completions)

    for twos in (Twos(), Twos().__call__):
        scored = environments.reward(twos)(completions=["", ""], environments=[environment, fine])
        assert asyncio.run(scored) == [None, 2.0]
    environment.reset()
    assert environment.python("1") == "1" and not environment.fault
    for code in ("unavailable", "bug"):  # trying again is of no use
        environment.reset()
        with pytest.raises(SandboxFault):
            environment.python(code)
    with pytest.raises(TypeError, match="environments"):
        reward(completions=[""])


def test_the_walls_are_proved_before_the_first_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: Any) -> None:
        raise SandboxUnavailable("no walls")

    monkeypatch.setattr(StandIn, "open", refuse)
    monkeypatch.setattr(trl, "build_sandbox", lambda settings: StandIn())
    with pytest.raises(SandboxUnavailable, match="no walls"):
        PythonEnvironments(SETTINGS)()


def test_the_factory_can_be_pickled(tmp_path: Path) -> None:
    with PythonEnvironments(SETTINGS, sees_images=True, images_root=str(tmp_path)) as environments:
        environments()
        copy = pickle.loads(pickle.dumps(environments))
    assert (copy.settings, copy.sees_images, copy.images_root) == (SETTINGS, True, str(tmp_path))
    with copy:
        environment = copy()
        environment.reset()
        assert environment.python("1 + 1") == "2"


def test_nothing_is_left_when_the_program_ends() -> None:
    program = (
        "from records.recipe import SandboxSettings\nfrom training.environments.trl import PythonEnvironments\n"
        "environment = PythonEnvironments(SandboxSettings(libraries=[]))()\nenvironment.reset()\n"
        "print(environment.python('import os; os.getcwd()'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("'/")


def test_a_fleet_of_servers_in_place_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHSTONE_SANDBOX_TOKEN", TOKEN)
    with served(SETTINGS) as url, PythonEnvironments(SETTINGS.model_copy(update={"servers": [url]})) as environments:
        one, other = environments(), environments()
        for environment in (one, other):
            environment.reset(images=[picture()])
        assert one.python("x = image_1.size; x") == one.python("x") == "(80, 40)"
        assert "NameError" in other.python("x") and open_sessions(url) == 2
        one.reset()
        assert "NameError" in one.python("x") and open_sessions(url) == 2
        environments.close()
        assert open_sessions(url) == 0
    monkeypatch.delenv("TOUCHSTONE_SANDBOX_TOKEN")
    with pytest.raises(SandboxUnavailable, match="TOUCHSTONE_SANDBOX_TOKEN"):
        PythonEnvironments(SETTINGS.model_copy(update={"servers": [url]}))()
