"""The jobs that the training sets are for: SFT and RL, each in a process of its own, each leaving a checkpoint."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from assets.stage import StageAssets
from records.identity import content_hash, hashed
from records.recipe import Recipe
from records.workspace import Workspace
from reports.markdown import markdown_table
from rollouts.models.roles import Models

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


def _checkpoint(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    models: Models,
    name: str,
    data: Path,
    rows: pl.DataFrame,
    settings: dict[str, Any],
    more: dict[str, Any],
) -> dg.Output[pl.DataFrame]:
    """Train unless the same rows have trained the same model with the same settings already."""
    train = rows.filter(pl.col("split") == "train")
    if train.is_empty():
        raise dg.Failure(
            f"the {name} training set has no row in its train split: see the rejects for what was turned away and why"
        )
    if not data.exists():
        raise dg.Failure(f"{data} is missing: the job reads that format, so the recipe's {name}.formats must name it")
    policy = models.files("policy")
    seed = workspace.recipe.seed
    key = content_hash([name, policy.identity, settings, seed, hashlib.sha256(data.read_bytes()).hexdigest()])[:12]
    folder = workspace.folder("checkpoints") / f"{name}-{key}"
    result_file = folder / "result.json"
    reused = result_file.exists()
    if reused:
        context.log.info(f"{folder.name} was trained on these rows with these settings before: kept")
    else:
        models.stop()  # its memory is needed
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        job = {
            "model": str(policy.path), "data": str(data), "output": str(folder), "seed": seed, "merge": False,
            "settings": settings, **more,
        }  # fmt: skip
        _run(context, f"training.{name}", job, folder)
    result = json.loads(result_file.read_text())
    checkpoint = folder / ("adapter" if settings["lora_rank"] else "model")
    table = pl.DataFrame([(name, str(checkpoint), key, train.height)], schema=_CHECKPOINT, orient="row")
    shown = {k: v for k, v in result.items() if isinstance(v, int | float | str)}
    numbers = pl.DataFrame({"": list(shown), "value": [str(v) for v in shown.values()]})
    return dg.Output(
        table,
        metadata=shown(
            {
                "checkpoint": checkpoint,
                "trained_in_this_run": not reused,
                "training_rows": train.height,
                "result": markdown_table(numbers),
                "steps": {k: v for k, v in result.items() if isinstance(v, list)},
            }
        ),
    )


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
    data = workspace.folder("training_sets") / "sft" / "trl_messages" / "train.parquet"
    settings = hashed(workspace.recipe.sft, leaving_out={"formats"})
    return _checkpoint(context, workspace, models, "sft", data, sft_training_set, settings, {})


@dg.asset(
    group_name="training",
    kinds={"trl"},
    op_tags=_LAST,
    deps=["search_index"],
    description="The RL checkpoint: TRL's GRPOTrainer on the RL questions, in the same agent loop and with the same "
    "tools and verifier that curated them. Trained from the policy itself, so that the two jobs can be compared.",
)
def rl_checkpoint(
    context: dg.AssetExecutionContext,
    workspace: dg.ResourceParam[Workspace],
    models: dg.ResourceParam[Models],
    rl_training_set: pl.DataFrame,
) -> dg.Output[pl.DataFrame]:
    data = workspace.folder("training_sets") / "rl" / "trl_prompts" / "train.parquet"
    settings = hashed(workspace.recipe.rl, leaving_out={"formats"})
    more = {
        "recipe": workspace.recipe.model_dump(mode="json"),
        "data_root": workspace.data,
        "images_root": workspace.images.root,
    }
    return _checkpoint(context, workspace, models, "rl", data, rl_training_set, settings, more)


def stage(recipe: Recipe) -> StageAssets:
    """The assets of this stage."""
    return StageAssets([sft_checkpoint, rl_checkpoint])
