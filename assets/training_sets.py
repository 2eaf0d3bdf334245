"""What the trainers read: each product in each of its formats, and read back before the asset succeeds."""

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from assets.conservation import conservation_check, decided, ids
from assets.stage import StageAssets
from filters.questions.splits import on_several_sides
from records.heartbeat import Clock, Heartbeat
from records.identity import content_hash
from records.question import Reject
from records.recipe import Recipe
from records.tables import to_frame
from records.workspace import Workspace
from reports.markdown import counts, markdown_table
from rollouts.models.roles import Models
from training.formats import get_format
from training.products import Product, ProductInput, get_product, product_names
from training.readback import read_back

_IN_TRAIN = pl.Schema({"id": pl.String})
_SCHEMA = {"row_id": pl.String, "question_id": pl.String, "task": pl.String, "split": pl.String}


def _export(
    context: dg.AssetExecutionContext,
    product: Product,
    inputs: ProductInput,
    rows: Sequence[Any],
) -> tuple[Path, list[dict[str, Any]]]:
    """Write `rows` in every format and read each back, the formats side by side (their loaders are processes of their
    own, and slow to start). Returns the folder and what was read.
    """
    formats = product.formats(inputs.recipe)
    target = inputs.workspace.folder("training_sets") / product.name
    part = target.with_name(f"{product.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()

    def one(name: str) -> dict[str, Any]:
        folder = part / name
        folder.mkdir()
        get_format(name).write(rows, folder, images=inputs.images, tokenizer=inputs.tokenizer)
        back, read_now = read_back(name, folder, before=target / name, tokenizer=inputs.tokenizer)
        loader = back.loader if read_now else f"{back.loader} (before: nothing changed)"
        return {"format": name, "rows": back.rows, "loss_tokens": back.loss_tokens, "read by": loader}

    clock = Clock()
    progress = Heartbeat(lambda: f"reading {', '.join(formats)} back: {clock.seconds} s", context.log.info)
    with progress, ThreadPoolExecutor(max(1, len(formats))) as pool:
        read = list(pool.map(one, formats))
    for row in read:
        context.log.info(f"{row['format']}: {row['rows']} rows, read by {row['read by']}")
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    return target, read


def _with_train(known: pl.DataFrame, table: pl.DataFrame, questions: pl.DataFrame) -> pl.DataFrame:
    """The ids of questions and pictures that have been in the train part, those of this table included."""
    train = table.filter(pl.col("split") == "train").select("question_id").unique()
    pictures = questions.join(train, on="question_id").select(id="pictures").explode("id").drop_nulls()
    return pl.concat([known, train.select(id="question_id"), pictures]).unique().sort("id")


def _tokenizer(workspace: Workspace, models: Models) -> str | None:
    return str(models.files("policy").path) if workspace.recipe.models.role("policy").weights else None


def _metadata(folder: Path, read: list[dict[str, Any]], table: pl.DataFrame) -> dict[str, Any]:
    columns = {"format": pl.String, "rows": pl.Int64, "loss_tokens": pl.Int64, "read by": pl.String}
    return {
        "folder": folder,
        "formats": markdown_table(pl.DataFrame(read, schema=columns)),
        "by_split": counts(table, "task", "split"),
        # what the training jobs are keyed by: the same rows train the same checkpoint
        "content_hash": content_hash(table.sort("row_id").rows()),
    }


def _training_set(product: Product, recipe: Recipe) -> dg.AssetsDefinition:
    """The asset of a product."""

    @dg.asset(
        name=product.asset,
        group_name="training_sets",
        kinds={"polars"},
        ins={table: dg.AssetIn(dagster_type=pl.DataFrame) for table in product.tables},
        description=f"{product.description}, split by question and written as {', '.join(product.formats(recipe))}. "
        "Each format was read back with its trainer's own loader.",
    )
    def training_set(
        context: dg.AssetExecutionContext,
        workspace: dg.ResourceParam[Workspace],
        models: dg.ResourceParam[Models],
        **tables: pl.DataFrame,
    ) -> dg.Output[pl.DataFrame]:
        trained_on = f"in_train/{product.name}"
        known = workspace.tables.read(trained_on) if workspace.tables.exists(trained_on) else _IN_TRAIN.to_frame()
        inputs = ProductInput(workspace, tables, _tokenizer(workspace, models), set(known["id"]))
        refused: list[Reject] = []
        rows = product.make(inputs, refused)
        folder, read = _export(context, product, inputs, rows)
        table = pl.DataFrame([product.entry(row) for row in rows], schema=_SCHEMA, orient="row")
        workspace.tables.write(trained_on, _with_train(known, table, workspace.tables.read("questions")))
        rejects, rows_in = to_frame(refused, Reject), tables[product.source_table].height
        return decided(workspace, product.asset, rows_in, table, rejects, **_metadata(folder, read, table))

    return training_set


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


def _conservation(product: Product) -> dg.AssetChecksDefinition:
    def rows_in(workspace: Workspace) -> list[str]:
        return ids(workspace, product.source_table, product.id_column)

    return conservation_check(product.asset, product.asset, rows_in, id_column="row_id")


def stage(recipe: Recipe) -> StageAssets:
    """The asset of each product (training/products/), with its checks."""
    products = [get_product(name) for name in product_names()]
    assets = [
        item
        for product in products
        for item in (_training_set(product, recipe), _conservation(product), _disjoint_check(product.asset))
    ]
    return StageAssets(assets, {product.asset: product.asset for product in products})
