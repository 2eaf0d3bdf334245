"""`touchstone run`, but the evaluation is given the SFT checkpoint alone: one model fewer to merge and serve."""

import dagster as dg
import polars as pl

from assets.resources import TableIOManager
from pipelines.cli import main

_load = TableIOManager.load_input


def load_without_rl(self: TableIOManager, context: dg.InputContext) -> pl.DataFrame | pl.LazyFrame:
    """The table; that of the RL checkpoint, which only the evaluation reads, without its row."""
    table = _load(self, context)
    return table.clear() if context.asset_key.path[-1] == "rl_checkpoint" else table


if __name__ == "__main__":
    TableIOManager.load_input = load_without_rl
    raise SystemExit(main(["run"]))
