"""Jobs: everything, and the nightly part of it."""

import dagster as dg

_CONSOLE = {"loggers": {"console": {}}}

curation = dg.define_asset_job(
    "curation",
    selection=dg.AssetSelection.all(),
    description="The whole graph: from raw questions to training sets, checkpoints and their evaluation.",
    config=_CONSOLE,
)

refresh = dg.define_asset_job(
    "refresh",
    selection=dg.AssetSelection.all() - dg.AssetSelection.groups("training", "evaluation"),
    description="The data alone, up to the training sets. Makes model calls only for what is new or changed.",
    config=_CONSOLE,
)
