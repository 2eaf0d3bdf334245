"""Images of the python tool reach a vision policy through TRL, and are trained on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rollouts.models.weights import default_cache

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent


def test_a_step_of_grpo_on_a_vision_model(tiny_policy: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from tests.support import tiny_vision_model

    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    vision = ["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": vision})
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    paths = [str(tiny_vision_model.torchvision_folder(default_cache() / "test")), *filter(None, sys.path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "TRL_EXPERIMENTAL_SILENCE": "1"}

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, env=environment, timeout=900, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    run(tiny_vision_model.__file__, str(tmp_path / "tokenizer"), str(tmp_path / "model"))
    said = run(str(HERE.parent / "support" / "vision_grpo.py"), str(tmp_path / "model"), str(tmp_path / "out"))
    found = json.loads(said.strip().splitlines()[-1])
    assert found["shown"] == [[[80, 60]]] * 8 + [[[80, 60], [64, 64]]] * 4, "the row's, then the tool's beside it"
    last = found["contexts"][-1]
    assert "<tool_response>\n(80, 60)\n</tool_response>" in last
    _, seen = last.rsplit("<tool_response>\n", 1)
    assert seen.startswith("<|vision_start|><|image_pad|>") and "<|vision_end|>[image of 64x64 pixels]" in seen
    log = found["log"]
    assert (log["reward"], log["tools/call_frequency"], log["tools/failure_frequency"]) == (0.5, 2.0, 0.0)
    assert log["grad_norm"] > 0
