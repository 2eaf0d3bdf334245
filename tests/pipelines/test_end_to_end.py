"""The whole graph on the real model: killed on the way, run again to the end, and run once more with nothing new."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from records.tables import TableStore

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.model
ROLLOUT_STAGES = ("direct_rollouts", "tool_rollouts", "teacher_rollouts")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("end_to_end")
    (folder / "home").mkdir()
    (folder / "home" / "dagster.yaml").write_text((ROOT / "dagster_home" / "dagster.yaml").read_text())
    return folder


def start(place):
    environment = os.environ | {
        "TOUCHSTONE_RECIPE": str(ROOT / "tests" / "pipelines" / "small.yaml"),
        "TOUCHSTONE_DATA": str(place / "data"),
        "DAGSTER_HOME": str(place / "home"),
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-m", "pipelines.cli", "run"]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finished_calls(place):
    """Keys of the calls in the ledger's segments, as often as they were written."""
    files = list((place / "data" / "ledger").glob("*.parquet"))
    return pl.concat([pl.read_parquet(f) for f in files])["key"].to_list() if files else []


def servers(place):
    """Processes of model servers that log into this place."""
    found = subprocess.run(["pgrep", "-f", str(place / "data" / "logs")], capture_output=True, text=True)
    return found.stdout.split()


@pytest.fixture(scope="module")
def killed(place):
    """A run killed while calls are being made; the calls that had been flushed by then."""
    process = start(place)
    deadline = time.monotonic() + 400
    while len(finished_calls(place)) < 10 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    output = process.communicate()[0]
    kept = finished_calls(place)
    assert len(kept) >= 10, output[-3000:]
    return kept


@pytest.fixture(scope="module")
def finished(place, killed):
    """The output of the run that went on to the end."""
    process = start(place)
    output = process.communicate(timeout=1500)[0]
    assert process.returncode == 0, output[-5000:]
    return output


@pytest.fixture(scope="module")
def tables(place, finished):
    return TableStore(str(place / "data" / "tables"))


def made(output):
    line = next(line for line in output.splitlines() if "Model calls made:" in line)
    return {name: int(count) for name, count in re.findall(r"(\w+) (\d+)", line.partition("made:")[2])}


def test_a_killed_run_leaves_no_server_behind(place, killed):
    deadline = time.monotonic() + 30
    while servers(place) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert servers(place) == []


def test_no_finished_call_is_made_twice(place, killed, finished):
    keys = finished_calls(place)
    assert len(keys) == len(set(keys))
    assert set(killed) <= set(keys)


def test_no_row_is_lost_and_every_check_passed(place, tables):
    import dagster as dg

    with dg.DagsterInstance.from_config(str(place / "home")) as instance:
        run, *killed_runs = instance.get_runs()
        assert [r.status for r in killed_runs] == [dg.DagsterRunStatus.FAILURE]
        checks = [
            event.event_specific_data
            for event in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
            for event in [event.dagster_event]
        ]
    assert len(checks) >= 9
    assert all(check.passed for check in checks), [c.asset_check_key for c in checks if not c.passed]
    questions = tables.read("questions")
    curation = questions.filter(pl.col("split") == "curation").height
    rejects = tables.read("rejects").group_by("stage").len()
    at = dict(rejects.rows())
    routed = tables.read("rl_questions").height + tables.read("cold_start_questions").height
    assert curation == routed + at.get("difficulty", 0) + at.get("selection", 0)
    assert set(questions["task"]) == {"perception", "math", "search"}


def test_trajectories_are_right_use_tools_and_were_replayed(tables):
    trajectories = tables.read("trajectories")
    assert trajectories.height >= 1
    for checks in trajectories["checks"]:
        assert list(json.loads(checks)) == ["right", "uses_tool", "error_free", "well_formed", "replayed"]


def test_training_sets_were_read_back_and_trained_on(place, tables):
    sets = place / "data" / "training_sets"
    for name in (
        "sft/llamafactory_sharegpt/dataset_info.json",
        "sft/trl_messages",
        "rl/verl_parquet",
        "rl/trl_prompts",
    ):
        assert (sets / name).exists()
    for name in ("sft", "rl"):
        folder = Path(tables.read(f"{name}_checkpoint")["folder"][0])
        assert (folder / "adapter_model.safetensors").stat().st_size > 1000
        assert json.loads((folder.parent / "result.json").read_text())["steps"] == 1
    evaluation = tables.read("evaluation")
    assert set(evaluation["checkpoint"]) == {"base", "sft", "rl"} and set(evaluation["arm"]) == {"direct", "tools"}


def test_a_run_with_nothing_new_makes_no_model_call_and_trains_nothing(place, finished, tables):
    before = finished_calls(place)
    contents = {name: tables.read(name) for name in (*ROLLOUT_STAGES, "trajectories", "evaluation")}
    process = start(place)
    output = process.communicate(timeout=600)[0]
    assert process.returncode == 0, output[-5000:]
    calls = made(output)
    assert set(ROLLOUT_STAGES) <= set(calls) and sum(calls.values()) == 0
    assert sorted(finished_calls(place)) == sorted(before)
    for name, table in contents.items():
        assert tables.read(name).equals(table), name
    assert "model server starting" not in output and output.count("were trained") + output.count("was trained") == 2
