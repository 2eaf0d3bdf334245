"""What Dagster loads: `dagster dev`, `dagster asset materialize` and the daemon all start here."""

import os
from pathlib import Path

import dagster as dg

from assets.graph import build_assets, check_recipe
from assets.resources import resources
from pipelines.console import console
from pipelines.jobs import curation, refresh
from pipelines.recipe_file import recipe_path
from pipelines.schedules import nightly
from records.recipe import read_recipe
from records.workspace import Workspace

_file = recipe_path()
recipe = read_recipe(_file)
check_recipe(recipe, str(_file))

workspace = Workspace(
    str(_file.resolve()),
    os.environ.get("TOUCHSTONE_DATA") or str(Path("data").resolve() / recipe.name),
    os.environ.get("TOUCHSTONE_LEDGER", ""),
)
_built = build_assets(recipe)

defs = dg.Definitions(
    assets=[item for item in _built if not isinstance(item, dg.AssetChecksDefinition)],
    asset_checks=[item for item in _built if isinstance(item, dg.AssetChecksDefinition)],
    jobs=[curation, refresh],
    schedules=[nightly(recipe)],
    resources=resources(workspace),
    # One process a run: all its steps share one model server, and what is heavy runs in processes of its own anyway.
    executor=dg.in_process_executor,
    loggers={"console": console},
)
