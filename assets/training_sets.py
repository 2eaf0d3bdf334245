"""What the trainers read: each set in each of the recipe's formats, and read back before the asset succeeds."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from assets.conservation import conservation_check, decided
from assets.stage import StageAssets
from filters.questions.splits import draw_split, on_several_sides
from measurement.arms import tools_arm
from measurement.prepared_arm import PreparedArm
from measurement.toolbox import Toolbox
from records.heartbeat import Clock, Heartbeat
from records.identity import content_hash
from records.images.store import ImageStore
from records.question import Question, Reject
from records.recipe import Recipe
from records.tables import from_frame, to_frame
from records.trajectory import Trajectory
from records.workspace import Workspace
from reports.markdown import counts, markdown_table
from rollouts.dialects import get_dialect
from rollouts.models.roles import Models
from training.formats import Readback, get_format
from training.rows import SplitName, rl_rows, sft_rows

_SCHEMA = {"row_id": pl.String, "question_id": pl.String, "task": pl.String, "split": pl.String}


def _split_of(workspace: Workspace, questions: pl.DataFrame) -> Callable[[str], SplitName]:
    split = workspace.recipe.split
    drawn = draw_split(questions, split.validation, f"{split.salt}/validation")
    names: dict[str, SplitName] = {
        key: "validation" if side else "train" for key, side in zip(questions["question_id"], drawn, strict=True)
    }
    return names.__getitem__


def _export(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    kind: str,
    formats: list[str],
    rows: list,
    images: ImageStore | None,
    tokenizer: str | None,
) -> tuple[str, list[dict[str, Any]]]:
    """Write `rows` in every format and read each back, the formats side by side (their loaders are processes of their
    own, and slow to start). Returns the folder and what was read.
    """
    target = workspace.folder("training_sets") / kind
    part = target.with_name(f"{kind}.part")
    shutil.rmtree(part, ignore_errors=True)

    def one(name: str) -> dict[str, Any]:
        folder = part / name
        folder.mkdir(parents=True)
        writer = get_format(name)
        writer.write(rows, folder, images=images, tokenizer=tokenizer)
        back: Readback = writer.read_back(folder, tokenizer=tokenizer)
        return {"format": name, "rows": back.rows, "loss_tokens": back.loss_tokens, "read by": back.loader}

    clock = Clock()
    progress = Heartbeat(lambda: f"reading {', '.join(formats)} back: {clock.seconds} s", context.log.info)
    with progress, ThreadPoolExecutor(len(formats)) as pool:
        read = list(pool.map(one, formats))
    for row in read:
        context.log.info(f"{row['format']}: {row['rows']} rows, read by {row['read by']}")
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    return str(target), read


def _tokenizer(workspace: Workspace, models: Models) -> str | None:
    return str(models.files("policy").path) if workspace.recipe.models.role("policy").weights else None


def _metadata(folder: str, read: list[dict[str, Any]], table: pl.DataFrame) -> dict[str, Any]:
    columns = {"format": pl.String, "rows": pl.Int64, "loss_tokens": pl.Int64, "read by": pl.String}
    return {
        "folder": Path(folder),
        "formats": markdown_table(pl.DataFrame(read, schema=columns)),
        "by_split": counts(table, "task", "split"),
        # what the training jobs are keyed by: the same rows train the same checkpoint
        "content_hash": content_hash(table.sort("row_id").rows()),
    }


@dg.asset(
    group_name="training_sets",
    kinds={"polars"},
    description="Cold-start trajectories as the SFT trainers read them (LLaMA-Factory sharegpt with its "
    "dataset_info.json, TRL messages), split by question. Each format was read back with its trainer's own loader.",
)
def sft_training_set(
    context: dg.AssetExecutionContext,
    workspace: dg.ResourceParam[Workspace],
    models: dg.ResourceParam[Models],
    cold_start_questions: pl.DataFrame,
    trajectories: pl.DataFrame,
) -> dg.Output[pl.DataFrame]:
    recipe = workspace.recipe
    images = workspace.images if recipe.models.role("policy").sees_images else None
    tasks = dict(cold_start_questions.select("question_id", "task").iter_rows())
    refused: list[Reject] = []
    rows = list(
        sft_rows(
            from_frame(trajectories, Trajectory),
            get_dialect(recipe.dialect),
            images,
            _split_of(workspace, cold_start_questions),
            tasks,
            refused,
        )
    )
    folder, read = _export(context, workspace, "sft", recipe.sft.formats, rows, images, _tokenizer(workspace, models))
    table = pl.DataFrame([(r.row_id, r.question_id, r.task, r.split) for r in rows], schema=_SCHEMA, orient="row")
    rejects = to_frame(refused, Reject)
    return decided(workspace, "sft_training_set", trajectories.height, table, rejects, **_metadata(folder, read, table))


@dg.asset(
    group_name="training_sets",
    kinds={"polars"},
    description="RL questions as the RL trainers read them (verl parquet, TRL prompts), with the prompt that their "
    "pass rates were measured with, split by question. Each format was read back with its trainer's own loader.",
)
def rl_training_set(
    context: dg.AssetExecutionContext,
    workspace: dg.ResourceParam[Workspace],
    models: dg.ResourceParam[Models],
    rl_questions: pl.DataFrame,
) -> dg.Output[pl.DataFrame]:
    recipe = workspace.recipe
    images = workspace.images if recipe.models.role("policy").sees_images else None
    prepared = PreparedArm(tools_arm(recipe), Toolbox(workspace))
    refused: list[Reject] = []
    rows = list(
        rl_rows(
            ((question, prepared.prompt(question)[1]) for question in from_frame(rl_questions, Question)),
            get_dialect(recipe.dialect),
            images,
            _split_of(workspace, rl_questions),
            recipe.tools,
            refused,
        )
    )
    folder, read = _export(context, workspace, "rl", recipe.rl.formats, rows, images, _tokenizer(workspace, models))
    table = pl.DataFrame(
        [(r.question.question_id, r.question.question_id, r.question.task, r.split) for r in rows],
        schema=_SCHEMA,
        orient="row",
    )
    rejects = to_frame(refused, Reject)
    return decided(workspace, "rl_training_set", rl_questions.height, table, rejects, **_metadata(folder, read, table))


def _disjoint_check(asset: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset,
        name="train_validation_held_out_disjoint",
        blocking=True,
        description="No question and no picture is in two of train, validation and the held-out questions.",
    )
    def disjoint(workspace: dg.ResourceParam[Workspace]) -> dg.AssetCheckResult:
        questions = workspace.tables.read("questions").select("question_id", "pictures", side="split")
        held_out = questions.filter(pl.col("side") == "held_out")
        chosen = workspace.tables.read(asset).select("question_id", side="split")
        sides = pl.concat([chosen.join(questions.drop("side"), on="question_id").select(held_out.columns), held_out])
        straddling = on_several_sides(sides)
        return dg.AssetCheckResult(passed=straddling.is_empty(), metadata={"in_two_splits": straddling.height})

    return disjoint


training_sets_assets = [
    sft_training_set,
    rl_training_set,
    conservation_check(
        "sft_training_set",
        "sft_training_set",
        lambda w: list(w.tables.read("trajectories")["trajectory_id"]),
        id_column="row_id",
    ),
    conservation_check(
        "rl_training_set", "rl_training_set", lambda w: list(w.tables.read("rl_questions")["question_id"])
    ),
    _disjoint_check("sft_training_set"),
    _disjoint_check("rl_training_set"),
]


def stage(recipe: Recipe) -> StageAssets:
    """The assets and checks of this stage."""
    names = ("sft_training_set", "rl_training_set")
    return StageAssets(training_sets_assets, {name: name for name in names})
