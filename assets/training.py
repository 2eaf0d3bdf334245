"""The jobs that the training sets are for: SFT and RL, each in a process of its own, each leaving a checkpoint."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from assets.shown import failures, shown
from assets.stage import StageAssets
from records.identity import content_hash, hashed
from records.recipe import Recipe
from records.workspace import Workspace
from reports.markdown import markdown_table
from rollouts.models.roles import Models
from rollouts.models.weights import ModelFiles
from rollouts.tools import assets_of

# After everything that calls the policy: its server is stopped for the training, and takes a minute to start again.
_LAST = {"dagster/priority": "-1"}
_CHECKPOINT = {"checkpoint": pl.String, "folder": pl.String, "key": pl.String, "trained_on": pl.Int64}


def _run(context: dg.AssetExecutionContext, module: str, job: dict[str, Any], folder: Path) -> None:
    """Run a training job, its lines as progress. It dies with us: nobody would read what it prints.

    Raises:
        dg.Failure: it failed; with the end of what it said.
    """
    job_file = folder / "job.json"
    job_file.write_text(json.dumps(job, indent=1))
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}
    lines: list[str] = []
    context.log.info(f"{module} starts; its log: {folder / 'log.txt'}")
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(job_file)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                log.write(line)
                lines.append(line.rstrip())
                if line.startswith(("sft:", "rl:")):
                    context.log.info(lines[-1])
        except BaseException:
            process.kill()
            raise
        finally:
            process.wait()
    if process.returncode != 0:
        tail = "\n".join(lines[-15:])
        raise dg.Failure(f"{module} failed (exit status {process.returncode}); log: {folder / 'log.txt'}\n{tail}")


@dataclass(frozen=True)
class TrainingJob:
    """One training job, as its asset asks for it."""

    name: str
    """The name of the job, of its training set and of the module of training/ that runs it."""
    form: str
    """The format of the training set that the job reads."""
    settings: dict[str, Any]
    """The settings that the checkpoint depends on."""
    context: dict[str, Any] = field(default_factory=dict)
    """Further entries of the job file: what the key does not depend on."""

    def data(self, workspace: Workspace) -> Path:
        """The file of the rows to train on."""
        return workspace.folder("training_sets") / self.name / self.form / "train.parquet"

    def key(self, policy: ModelFiles, seed: int, data: Path) -> str:
        """What tells the checkpoint from others: the same rows train the same model in the same way once."""
        rows = hashlib.sha256(data.read_bytes()).hexdigest()
        return content_hash([self.name, policy.identity, self.settings, seed, rows])[:12]


def _checkpoint(
    context: dg.AssetExecutionContext, workspace: Workspace, models: Models, job: TrainingJob, rows: pl.DataFrame
) -> dg.Output[pl.DataFrame]:
    """Train unless the same rows have trained the same model with the same settings already.

    Raises:
        dg.Failure: there is no row to train on, the policy has no weights here, or the job failed.
    """
    train = rows.filter(pl.col("split") == "train")
    if train.is_empty():
        raise dg.Failure(
            f"the {job.name} training set has no row in its train split: see the rejects for what was turned away "
            "and why"
        )
    data = job.data(workspace)
    if not data.exists():
        raise dg.Failure(
            f"{data} is missing: the job reads that format, so the recipe's {job.name}.formats must name it"
        )
    with failures():
        policy = models.files("policy")
    seed = workspace.recipe.seed
    key = job.key(policy, seed, data)
    folder = workspace.folder("checkpoints") / f"{job.name}-{key}"
    reused = (folder / "result.json").exists()
    if reused:
        context.log.info(f"{folder.name} was trained on these rows with these settings before: kept")
    else:
        models.stop()  # its memory is needed
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        values = {
            "model": str(policy.path), "data": str(data), "output": str(folder), "seed": seed, "merge": False,
            "settings": job.settings, **job.context,
        }  # fmt: skip
        _run(context, f"training.{job.name}", values, folder)
    checkpoint = folder / ("adapter" if job.settings["lora_rank"] else "model")
    table = pl.DataFrame([(job.name, str(checkpoint), key, train.height)], schema=_CHECKPOINT, orient="row")
    about = {"checkpoint": checkpoint, "trained_in_this_run": not reused, "training_rows": train.height}
    return dg.Output(table, metadata=shown(about | _result(folder / "result.json")))


def _result(file: Path) -> dict[str, object]:
    """Metadata out of the result that a job left."""
    result = json.loads(file.read_text())
    single = {k: v for k, v in result.items() if isinstance(v, int | float | str)}
    numbers = pl.DataFrame({"": list(single), "value": [str(v) for v in single.values()]})
    return {"result": markdown_table(numbers), "steps": {k: v for k, v in result.items() if isinstance(v, list)}}


@dg.asset(
    group_name="training",
    kinds={"trl"},
    op_tags=_LAST,
    description="The SFT checkpoint: TRL's SFTTrainer on the cold-start trajectories, loss on the model's own turns "
    "only. The same rows and settings are not trained twice.",
)
def sft_checkpoint(
    context: dg.AssetExecutionContext,
    workspace: dg.ResourceParam[Workspace],
    models: dg.ResourceParam[Models],
    sft_training_set: pl.DataFrame,
) -> dg.Output[pl.DataFrame]:
    job = TrainingJob("sft", "trl_messages", hashed(workspace.recipe.sft, leaving_out={"formats", "reasoning"}))
    return _checkpoint(context, workspace, models, job, sft_training_set)


def rl_checkpoint(
    context: dg.AssetExecutionContext,
    workspace: dg.ResourceParam[Workspace],
    models: dg.ResourceParam[Models],
    rl_training_set: pl.DataFrame,
) -> dg.Output[pl.DataFrame]:
    more = {
        "recipe": workspace.recipe.model_dump(mode="json"),
        "data_root": workspace.data,
        "images_root": workspace.images.root,
    }
    job = TrainingJob("rl", "trl_prompts", hashed(workspace.recipe.rl, leaving_out={"formats"}), more)
    return _checkpoint(context, workspace, models, job, rl_training_set)


def stage(recipe: Recipe) -> StageAssets:
    """The assets of this stage."""
    rl = dg.asset(
        group_name="training",
        kinds={"trl"},
        op_tags=_LAST,
        deps=assets_of(recipe),
        description="The RL checkpoint: TRL's GRPOTrainer on the RL questions, in the same agent loop and with the "
        "same tools and verifier that curated them. Trained from the policy itself, so that the two jobs can be "
        "compared.",
    )(rl_checkpoint)
    return StageAssets([sft_checkpoint, rl])
