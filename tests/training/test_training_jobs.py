"""Both jobs take real optimiser steps on a tiny model, and save a checkpoint that loads."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from records.images.store import ImageStore
from records.recipe import Model, Recipe, Rl, Route, Sft, Source
from rollouts.models.contract import Request
from tests.support.training_rows import DIALECT, png, prompt, question, split_by, trajectory
from tests.training.test_policy_completer import Echo
from training import rl, sft
from training.formats import get_format
from training.job import JobError
from training.policy_completer import PolicyCompleter
from training.rows import Rendering, rl_rows, sft_rows

ASKED = [question(n) for n in range(4)]
RECIPE = Recipe(
    name="tiny",
    sources=[Source(name="sums", loader="sums")],
    models={"policy": Model(url="http://127.0.0.1:1/v1", model="policy")},
    selection=[Route(to="rl")],
)


def adapter_weights(folder: str) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(Path(folder) / "adapter_model.safetensors")


def test_sft_learns_the_completion(tiny_policy: str, tmp_path: Path) -> None:
    rows = sft_rows([trajectory(a) for a in ASKED], Rendering(DIALECT, None), split_by(set()), {}, [])
    get_format("trl_messages").write(rows, tmp_path / "data")
    settings = Sft(steps=10, batch_size=2, learning_rate=3e-2, lora_rank=4, max_length=1000)
    job = sft.SftJob(
        model=tiny_policy,
        data=str(tmp_path / "data/train.parquet"),
        output=str(tmp_path / "out"),
        settings=settings,
        dtype="float32",
        use_cpu=True,
    )
    Path(job.output).mkdir()
    result = sft.run(job)
    assert json.loads((tmp_path / "out/result.json").read_text())["losses"] == result["losses"]
    assert (result["steps"], result["rows"], result["too_long"]) == (10, 4, 0)
    assert 0 < result["loss_tokens"] < result["tokens"] / 2
    assert result["last_loss"] < result["first_loss"] - 0.3
    from transformers import AutoModelForCausalLM

    assert any(w.abs().sum() > 0 for name, w in adapter_weights(result["saved"]["adapter"]).items() if "lora_B" in name)
    assert AutoModelForCausalLM.from_pretrained(result["saved"]["model"]).config.hidden_size == 64

    tight = job.model_copy(update={"settings": settings.model_copy(update={"max_length": 10})})
    with pytest.raises(JobError, match="no row has at most 10 tokens"):
        sft.run(tight)


def test_rows_with_images_are_refused(tiny_policy: str, store: ImageStore, tmp_path: Path) -> None:
    red = png(store, "red")
    rows = sft_rows([trajectory(ASKED[0], [red])], Rendering(DIALECT, store), split_by(set()), {}, [])
    get_format("trl_messages").write(rows, tmp_path, images=store)
    with pytest.raises(JobError, match="hold images"):
        sft.run(sft.SftJob(model=tiny_policy, data=str(tmp_path / "train.parquet"), output=str(tmp_path)))


def rl_job(tiny_policy: str, tmp_path: Path, **settings: Any) -> rl.RlJob:
    prompts = [(asked, prompt(asked)) for asked in ASKED]
    rows = rl_rows(prompts, Rendering(DIALECT, None), split_by(set()), {"math": ["python"]}, [])
    get_format("trl_prompts").write(rows, tmp_path / "data")
    (tmp_path / "out").mkdir()
    values = {"steps": 2, "prompts_per_step": 2, "group_size": 2, "learning_rate": 1e-2, "lora_rank": 4}
    return rl.RlJob(
        model=tiny_policy,
        data=str(tmp_path / "data/train.parquet"),
        output=str(tmp_path / "out"),
        settings=Rl(**(values | {"max_tokens": 48, "max_turns": 2} | settings)),
        recipe=RECIPE,
        data_root=str(tmp_path),
        images_root=str(tmp_path / "images"),
        dtype="float32",
        use_cpu=True,
        max_context=1000,
    )


def test_rl_with_real_generation(tiny_policy: str, tmp_path: Path) -> None:
    result = rl.run(rl_job(tiny_policy, tmp_path), {"python": Echo()})
    assert (result["steps"], result["rollouts"], result["unfinished"]) == (2, 8, 0)
    assert 0 < result["tokens"] <= 8 * 48 * 2
    assert result["zero_variance_groups"] == 1.0, "a random model is right never"
    assert (tmp_path / "out/adapter/adapter_model.safetensors").exists()


def test_rl_learns_from_the_verdict_and_masks_observations(
    tiny_policy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the rollouts call the tool and give the right answer, half the wrong one."""
    count = 0

    def generate(self: PolicyCompleter, prompts: list[list[int]], request: Request) -> list[list[int]]:
        nonlocal count
        said = []
        for ids in prompts:
            text = self.tokenizer.decode(ids)
            if "OBSERVED" not in text:
                reply = "<python>\n1\n</python>"
            else:
                count += 1
                number = int(text.rsplit("what is ", 1)[1].split(" +")[0])
                reply = f"<answer>{number + 1 + count % 2}</answer><|im_end|>"
            said.append(self.tokenizer(reply, add_special_tokens=False)["input_ids"])
        return said

    seen: list[dict[str, Any]] = []
    roll_out = rl.Roller.__call__

    def spy(self: rl.Roller, prompts: list[Any], trainer: Any) -> dict[str, list[Any]]:
        output = roll_out(self, prompts, trainer)
        seen.append(output)
        return output

    monkeypatch.setattr(PolicyCompleter, "_generate", generate)
    monkeypatch.setattr(rl.Roller, "__call__", spy)
    result = rl.run(rl_job(tiny_policy, tmp_path), {"python": Echo()})
    assert result["tool_calls"] == 8
    assert [step["reward"] for step in result["per_step"]] == pytest.approx([0.6, 0.6])
    assert result["zero_variance_groups"] == 0
    assert any(w.abs().sum() > 0 for n, w in adapter_weights(result["saved"]["adapter"]).items() if "lora_B" in n)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    for output in seen:
        for ids, mask in zip(output["completion_ids"], output["env_mask"], strict=True):
            own = tokenizer.decode([i for i, m in zip(ids, mask, strict=True) if m])
            assert "OBSERVED" not in own
            assert own.startswith("<python>\n1\n</python><answer>")
            assert "OBSERVED 1" in tokenizer.decode(ids)


def test_a_failing_model_leaves_rollouts_without_reward(
    tiny_policy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def generate(self: PolicyCompleter, prompts: list[list[int]], request: Request) -> list[list[int]]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("a passing fault")
        return [self.tokenizer("<answer>1</answer>", add_special_tokens=False)["input_ids"] for _ in prompts]

    monkeypatch.setattr(PolicyCompleter, "_generate", generate)
    result = rl.run(rl_job(tiny_policy, tmp_path), {"python": Echo()})
    assert result["steps"] == 2
    assert result["unfinished"] == 4


def test_prompts_come_back_word_for_word(tmp_path: Path) -> None:

    rows = rl_rows([(ASKED[0], prompt(ASKED[0]))], Rendering(DIALECT, None), split_by(set()), {}, [])
    get_format("trl_prompts").write(rows, tmp_path)
    (row,) = pq.read_table(tmp_path / "train.parquet").to_pylist()
    assert DIALECT.training_turns(rl.prompt_messages(row["prompt"]), None) == row["prompt"]
