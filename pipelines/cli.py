"""The `touchstone` command: what Dagster's own commands do not do."""

import argparse
import os
import sys
import warnings
from pathlib import Path

from records.recipe.section import RecipeError


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
    from training.products import get_product, product_names

    try:
        for text in report(workspace, [get_product(name).asset for name in product_names()]):
            print(f"\n{text}")
    except FileNotFoundError as error:
        print(f"nothing to report yet: {error}", file=sys.stderr)
        return 1
    return 0


def _plan() -> int:
    """What a run would cost, without making a call."""
    from pipelines.definitions import recipe, workspace
    from pipelines.plan import PlanError, printed_plan
    from rollouts.models.roles import RoleError

    try:
        for text in printed_plan(recipe, workspace):
            print(f"\n{text}")
    except (PlanError, RoleError) as error:
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


def _run() -> int:
    """The whole graph, as a Dagster run of the job `curation`, and what came out."""
    from pipelines.definitions import workspace
    from pipelines.run import run_everything

    lines = run_everything()
    if lines is None:
        print("\nThe run failed. Everything that finished is saved; run the same command to resume.")
        print(f"Logs: {workspace.data}/logs")
        return 1
    _report()
    print("\n" + "\n".join(lines))
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
