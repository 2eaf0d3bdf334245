"""A part of the graph can be asked for, up to the trajectories too."""

import dagster as dg
import pytest

from pipelines.definitions import defs


@pytest.mark.parametrize("selection", ["*trajectories", "*rl_questions", "cold_start_questions*"])
def test_what_leads_to_one_asset_can_be_selected(selection: str) -> None:
    job = dg.define_asset_job("part", selection=selection)
    resolved = dg.Definitions.merge(defs, dg.Definitions(jobs=[job])).resolve_job_def("part")
    names = {key.to_user_string() for key in resolved.asset_layer.executable_asset_keys}
    assert selection.strip("*") in names
