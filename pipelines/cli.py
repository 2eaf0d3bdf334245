"""The `touchstone` command: what Dagster's own commands do not do."""

import argparse
import os
import platform
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from records.recipe.section import RecipeError

if TYPE_CHECKING:
    import dagster as dg


def _model() -> int:
    """Get the policy's weights, with progress."""
    from pipelines.recipe_file import recipe_path
    from records.recipe import read_recipe
    from rollouts.models.weights import WeightsError, resolve_weights

    policy = read_recipe(recipe_path()).models.policy
    if policy.weights is None:
        print(f"the policy is served at {policy.url}: there are no weights to get")
        return 0
    try:
        print(f"model: {resolve_weights(policy.weights, say=lambda text: print(text, flush=True)).path}")
    except WeightsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _report() -> int:
    from pipelines.definitions import workspace
    from reports.terminal import report

    try:
        for text in report(workspace):
            print(f"\n{text}")
    except FileNotFoundError as error:
        print(f"nothing to report yet: {error}", file=sys.stderr)
        return 1
    return 0


def _plan() -> int:
    """What a run would cost, without making a call."""
    from pipelines.definitions import recipe, workspace
    from pipelines.plan import PlanError, printed_plan

    try:
        for text in printed_plan(recipe, workspace):
            print(f"\n{text}")
    except PlanError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _compact() -> int:
    """Merge the small segments of the ledger."""
    from pipelines.definitions import workspace
    from rollouts.ledger.ledger import Ledger

    with Ledger(workspace.ledger) as ledger:
        for name, done in ledger.compact().items():
            print(f"{name}: {done.segments_before} segments, now {done.segments_after}; {done.rows} rows were merged")
    return 0


def _doctor() -> int:
    """What this machine offers to the recipe, tried for real."""
    from pipelines.doctor import examine
    from pipelines.recipe_file import recipe_path
    from records.recipe import read_recipe

    text, well = examine(read_recipe(recipe_path()))
    print(text)
    return 0 if well else 1


def _serve_sandbox(options: argparse.Namespace) -> int:
    """This machine's sandbox over HTTP, until it is told to stop."""
    from pipelines.recipe_file import recipe_path
    from records.recipe import read_recipe
    from sandbox import SandboxUnavailable
    from sandbox.http.wire import token_from_environment

    try:
        from sandbox.http.server import ServerAddress, serve
    except ModuleNotFoundError as error:
        print(f"{error.name} is not installed: pip install 'touchstone[server]'", file=sys.stderr)
        return 1
    try:
        settings = read_recipe(recipe_path()).sandbox
        address = ServerAddress(options.host, options.port, options.certificate, options.key)
        serve(settings, token_from_environment(), address)
    except (SandboxUnavailable, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


_PROCESS = "touchstone/process"
"""Tag of a run: the machine and process that execute it."""


def _bury_the_dead(instance: "dg.DagsterInstance") -> None:
    """End the runs whose process was killed: Dagster would show them as running for ever, and queue others behind."""
    import dagster as dg

    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        host, _, process = run.tags.get(_PROCESS, "").partition(":")
        if host == platform.node() and process.isdigit() and not Path(f"/proc/{process}").exists():
            instance.report_run_failed(run, "its process was killed; what it finished is in the ledger")


def _run() -> int:
    """The whole graph, as a Dagster run of the job `curation`, and what came out."""
    import dagster as dg

    from measurement.summary import StageSummary
    from pipelines.definitions import defs, workspace

    start = time.monotonic()
    with dg.DagsterInstance.get() as instance:
        _bury_the_dead(instance)
        job, process = defs.resolve_job_def("curation"), f"{platform.node()}:{os.getpid()}"
        result = job.execute_in_process(instance=instance, raise_on_error=False, tags={_PROCESS: process})
        if not result.success:
            print("\nThe run failed. Everything that finished is saved; run the same command to resume.")
            print(f"Logs: {workspace.data}/logs")
            return 1
        summaries = {
            event.materialization.asset_key.path[-1]: summary
            for event in result.get_asset_materialization_events()
            if (summary := StageSummary.in_metadata(event.materialization.metadata)) is not None
        }
    _report()
    calls = ", ".join(f"{name} {summary.calls_made.get('model', 0)}" for name, summary in summaries.items())
    saved = [f"{count} {why}" for summary in summaries.values() for why, count in summary.not_needed.items()]
    print(f"\nDone in {time.monotonic() - start:.0f} s. Model calls made: {calls}.")
    print(f"Rollouts not needed: {', '.join(saved)}.")
    print(f"Tables, training sets, checkpoints, logs: {workspace.data}")
    print("The run with all its metadata: make ui, then http://127.0.0.1:3000")
    return 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="touchstone",
        description="TOUCHSTONE_RECIPE chooses the recipe (a name in pipelines/recipes/, or a path), "
        "TOUCHSTONE_DATA the data folder (data/<recipe> by default), TOUCHSTONE_LEDGER the ledger's (in the data "
        "folder by default).",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("model", help="get the policy's weights, and print where they are")
    commands.add_parser("plan", help="print how many rollouts and tokens a run would cost, and why; makes no call")
    commands.add_parser("run", help="run the whole graph through Dagster and report")
    commands.add_parser("report", help="print the tables of the last run")
    commands.add_parser("compact", help="merge the ledger's small segments; safe while runs are at work")
    commands.add_parser("doctor", help="say what isolates model-written code on this machine, and try it")
    sandbox = commands.add_parser("sandbox", help="serve this machine's sandbox to others (docs/sandbox-server.md)")
    serve = sandbox.add_subparsers(dest="action", required=True).add_parser("serve")
    serve.add_argument("--host", default="127.0.0.1", help="where to listen; this machine alone by default")
    serve.add_argument("--port", type=int, default=8717)
    serve.add_argument("--certificate", help="a PEM file with its chain; then https is spoken")
    serve.add_argument("--key", help="the certificate's key, where it is in a file of its own")
    options = parser.parse_args(arguments)
    home = Path("dagster_home").resolve()
    if (home / "dagster.yaml").exists():
        os.environ.setdefault("DAGSTER_HOME", str(home))
    warnings.simplefilter("ignore")
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    try:
        chosen = {
            "model": _model,
            "plan": _plan,
            "run": _run,
            "report": _report,
            "compact": _compact,
            "doctor": _doctor,
        }
        return _serve_sandbox(options) if options.command == "sandbox" else chosen[options.command]()
    except RecipeError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
