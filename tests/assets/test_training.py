"""The key of a training job, under which its checkpoint is kept: were it to change, every checkpoint would be trained
anew."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import yaml

from assets import training
from records.workspace import Workspace
from rollouts.models.weights import ModelFiles

RECIPE = {
    "name": "small",
    "seed": 7,
    "sources": [{"name": "sums", "loader": "reasoning_gym", "options": {"tasks": {"gcd": {}}}}],
    "models": {"policy": {"url": "http://127.0.0.1:1/v1", "model": "m", "revision": "1"}},
    "selection": [{"to": "rl"}],
    "sft": {"steps": 5, "lora_rank": None},
    "rl": {"steps": 3, "max_turns": 2},
}
ROWS = pl.DataFrame({"row_id": ["a", "b"], "split": ["train", "validation"]})
JOBS = {
    "sft": (training.sft_checkpoint, "trl_messages", "8aa748a163a5", "model"),
    "rl": (training.rl_checkpoint, "trl_prompts", "b6392de74a09", "adapter"),
}
"""The asset of each job, the format that it reads, its key for the inputs of this test, and what it leaves."""


class FakeModels:
    """A policy whose weights are known by name alone."""

    def __init__(self) -> None:
        self.stopped = 0

    def files(self, role: str) -> ModelFiles:
        return ModelFiles(Path("/weights") / role, f"identity of {role}")

    def stop(self) -> None:
        self.stopped += 1


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """The jobs that would have been started; each leaves a result at once."""
    jobs: list[tuple[str, dict[str, Any]]] = []

    def run(context: Any, module: str, job: dict[str, Any], folder: Path) -> None:
        jobs.append((module, job))
        (folder / "result.json").write_text(json.dumps({"steps": 5, "losses": [2.0, 1.0], "saved": {}}))

    monkeypatch.setattr(training, "_run", run)
    return jobs


@pytest.mark.parametrize("name", JOBS)
def test_a_job_has_its_key_and_is_run_once(
    name: str, tmp_path: Path, started: list[tuple[str, dict[str, Any]]]
) -> None:
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    workspace = Workspace(recipe_file=str(tmp_path / "recipe.yaml"), data=str(tmp_path / "data"))
    asset, form, key, kind = JOBS[name]
    data = workspace.folder("training_sets") / name / form / "train.parquet"
    data.parent.mkdir(parents=True)
    data.write_bytes(b"the rows")
    models = FakeModels()

    def materialized() -> dg.Output[pl.DataFrame]:
        with dg.build_asset_context() as context:
            return asset(context, **{f"{name}_training_set": ROWS}, workspace=workspace, models=models)

    first, again = materialized(), materialized()
    folder = Path(workspace.data) / "checkpoints" / f"{name}-{key}"
    assert first.value.rows() == again.value.rows() == [(name, str(folder / kind), key, 1)]
    ((module, job),) = started
    assert module == f"training.{name}" and models.stopped == 1
    assert (job["model"], job["data"], job["seed"], job["merge"]) == ("/weights/policy", str(data), 7, False)
    assert [out.metadata["trained_in_this_run"].value for out in (first, again)] == [True, False]


def test_a_set_without_rows_to_train_on_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    workspace = Workspace(recipe_file=str(tmp_path / "recipe.yaml"), data=str(tmp_path / "data"))
    resources = {"workspace": workspace, "models": FakeModels()}
    with dg.build_asset_context() as context:
        with pytest.raises(dg.Failure, match="no row in its train split"):
            training.sft_checkpoint(context, sft_training_set=ROWS.tail(1), **resources)
        with pytest.raises(dg.Failure, match=r"sft\.formats must name it"):
            training.sft_checkpoint(context, sft_training_set=ROWS, **resources)
