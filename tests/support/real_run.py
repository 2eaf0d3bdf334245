"""A run of the whole graph on the real model, in a process of its own, and what has to be true of its end."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import polars as pl

from records.tables import TableStore

ROOT = Path(__file__).parent.parent.parent
ROLLOUT_STAGES = ("direct_rollouts", "tool_rollouts", "teacher_rollouts")
CHECKS = ["right", "uses_tool", "error_free", "well_formed", "replayed"]
TRAINING_SETS = ("sft/trl_messages", "rl/trl_prompts")
RUN_S = 3000
"""A guard against a run that hangs."""


class RealRun:
    """A folder with the workspace and the run history of runs of one recipe.

    Args:
        module: what is run: the command line itself, or one of tests.support that changes something first.
    """

    def __init__(self, folder: Path, recipe: Path, module: str = "pipelines.cli") -> None:
        self.folder, self.data, self.home = folder, folder / "data", folder / "home"
        self._recipe, self._command = recipe, [sys.executable, "-m", module, "run"]
        self.home.mkdir()
        (self.home / "dagster.yaml").write_text((ROOT / "dagster_home" / "dagster.yaml").read_text())

    def start(self) -> subprocess.Popen[str]:
        environment = os.environ | {
            "TOUCHSTONE_RECIPE": str(self._recipe),
            "TOUCHSTONE_DATA": str(self.data),
            "DAGSTER_HOME": str(self.home),
            "PYTHONUNBUFFERED": "1",
            # Other tests keep the other core busy: a model that computes on both waits at every layer for the slower.
            "VLLM_CPU_OMP_THREADS_BIND": str(max(os.sched_getaffinity(0))),
        }
        return subprocess.Popen(
            self._command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def finish(self) -> str:
        """Run to the end; what it said."""
        process = self.start()
        output = process.communicate(timeout=RUN_S)[0]
        assert process.returncode == 0, output[-5000:]
        return output

    @property
    def tables(self) -> TableStore:
        return TableStore(str(self.data / "tables"))

    def finished_calls(self) -> list[str]:
        """Keys of the calls in the ledger's segments, as often as they were written."""
        files = list((self.data / "ledger").glob("*.parquet"))
        return pl.concat([pl.read_parquet(file) for file in files])["key"].to_list() if files else []

    def assert_no_server_is_left(self) -> None:
        """No model server logs into this place any more."""
        deadline = time.monotonic() + 120
        while servers := self._servers():
            assert time.monotonic() < deadline, servers
            time.sleep(0.2)

    def _servers(self) -> list[str]:
        found = subprocess.run(["pgrep", "-f", str(self.data / "logs")], capture_output=True, text=True)
        return found.stdout.split()

    def assert_no_row_is_lost(self, before: list[dg.DagsterRunStatus]) -> None:
        """Every check of the last run passed, every question is somewhere; and how the runs before it ended."""
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            run, *earlier = instance.get_runs()
            assert [r.status for r in earlier] == before
            checks = [
                event.event_specific_data
                for event in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
                for event in [event.dagster_event]
            ]
        assert len(checks) >= 9
        assert all(check.passed for check in checks), [c.asset_check_key for c in checks if not c.passed]
        questions = self.tables.read("questions")
        curation = questions.filter(pl.col("split") == "curation").height
        rejects = self.tables.read("rejects").group_by("stage").len()
        at = dict(rejects.rows())
        routed = self.tables.read("rl_questions").height + self.tables.read("cold_start_questions").height
        assert curation == routed + at.get("difficulty", 0) + at.get("selection", 0)
        assert set(questions["task"]) == {"perception", "math", "search"}

    def assert_trajectories_were_checked(self) -> None:
        """There are some, each right, with a tool, and replayed."""
        trajectories = self.tables.read("trajectories")
        assert trajectories.height >= 1
        for checks in trajectories["checks"]:
            assert list(json.loads(checks)) == CHECKS

    def assert_trained_and_evaluated(self, checkpoints: set[str]) -> None:
        """The training sets are there, both jobs made their step, and these checkpoints were evaluated in both arms."""
        for name in TRAINING_SETS:
            assert (self.data / "training_sets" / name).exists()
        for name in ("sft", "rl"):
            folder = Path(self.tables.read(f"{name}_checkpoint")["folder"][0])
            assert (folder / "adapter_model.safetensors").stat().st_size > 1000
            assert json.loads((folder.parent / "result.json").read_text())["steps"] == 1
        evaluation = self.tables.read("evaluation")
        assert set(evaluation["checkpoint"]) == checkpoints and set(evaluation["arm"]) == {"direct", "tools"}


def made(output: str) -> dict[str, int]:
    """The model calls that a run says it made, by asset."""
    line = next(line for line in output.splitlines() if "Model calls made:" in line)
    return {name: int(count) for name, count in re.findall(r"(\w+) (\d+)", line.partition("made:")[2])}
