"""`touchstone run`: the whole graph as a Dagster run, and what came out."""

import os
import platform
import time
from pathlib import Path

import dagster as dg

from measurement.summary import StageSummary
from pipelines.definitions import defs, workspace

PROCESS_TAG = "touchstone/process"
"""The tag of a run that says which machine and process execute it."""


def end_killed_runs(instance: dg.DagsterInstance) -> None:
    """End the runs whose process was killed: Dagster would show them as running for ever, and queue others behind."""
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        host, _, process = run.tags.get(PROCESS_TAG, "").partition(":")
        if host == platform.node() and process.isdigit() and not Path(f"/proc/{process}").exists():
            instance.report_run_failed(run, "its process was killed; what it finished is in the ledger")


def run_everything() -> list[str] | None:
    """Run the job `curation`. Returns the lines that sum it up, or None if it failed."""
    start = time.monotonic()
    with dg.DagsterInstance.get() as instance:
        end_killed_runs(instance)
        job, process = defs.resolve_job_def("curation"), f"{platform.node()}:{os.getpid()}"
        result = job.execute_in_process(instance=instance, raise_on_error=False, tags={PROCESS_TAG: process})
        if not result.success:
            return None
        summaries = {
            event.materialization.asset_key.path[-1]: summary
            for event in result.get_asset_materialization_events()
            if (summary := StageSummary.in_metadata(event.materialization.metadata)) is not None
        }
    calls = ", ".join(f"{name} {summary.calls_made.get('model', 0)}" for name, summary in summaries.items())
    saved = [f"{count} {why}" for summary in summaries.values() for why, count in summary.not_needed.items()]
    return [
        f"Done in {time.monotonic() - start:.0f} s. Model calls made: {calls}.",
        f"Rollouts not needed: {', '.join(saved)}.",
        f"Tables, training sets, checkpoints, logs: {workspace.data}",
        "The run with all its metadata: make ui, then http://127.0.0.1:3000",
    ]
