"""The whole graph on the real model, from the sources to a trained and evaluated checkpoint.

Kills and runs with nothing new are tried on the stand-in model (test_kills.py, test_only_what_changed.py); on the real
model they are marked slow, and so is the evaluation of both checkpoints.
"""

import os
import signal
import time
from pathlib import Path

import dagster as dg
import pytest

from tests.support.real_run import ROLLOUT_STAGES, RealRun, made

RECIPE = Path(__file__).with_name("small.yaml")
pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run to the end, in which one of the two checkpoints is evaluated."""
    run = RealRun(tmp_path_factory.mktemp("end_to_end"), RECIPE, module="tests.support.one_checkpoint")
    run.output = run.finish()
    return run


def test_no_finished_call_is_made_twice(finished):
    keys = finished.finished_calls()
    calls = made(finished.output)
    assert set(ROLLOUT_STAGES) <= set(calls) and 0 < sum(calls.values()) <= len(keys) == len(set(keys))


def test_no_row_is_lost_and_every_check_passed(finished):
    finished.assert_no_row_is_lost(before=[])


def test_trajectories_are_right_use_tools_and_were_replayed(finished):
    finished.assert_trajectories_were_checked()


def test_training_sets_were_read_back_and_trained_on(finished):
    finished.assert_trained_and_evaluated({"base", "sft"})


def test_the_run_leaves_no_server_behind(finished):
    assert finished.output.count("model server ready") == 2
    finished.assert_no_server_is_left()


@pytest.mark.slow
def test_a_killed_run_goes_on_and_a_run_with_nothing_new_makes_no_call_and_trains_nothing(tmp_path):
    run = RealRun(tmp_path, RECIPE)
    process, deadline = run.start(), time.monotonic() + 1500
    while len(run.finished_calls()) < 10 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    output = process.communicate()[0]
    kept = run.finished_calls()
    assert len(kept) >= 10, output[-3000:]
    run.assert_no_server_is_left()

    run.finish()
    keys = run.finished_calls()
    assert len(keys) == len(set(keys)) and set(kept) <= set(keys)
    run.assert_no_row_is_lost(before=[dg.DagsterRunStatus.FAILURE])
    run.assert_trajectories_were_checked()
    run.assert_trained_and_evaluated({"base", "sft", "rl"})

    contents = {name: run.tables.read(name) for name in (*ROLLOUT_STAGES, "trajectories", "evaluation")}
    output = run.finish()
    calls = made(output)
    assert set(ROLLOUT_STAGES) <= set(calls) and sum(calls.values()) == 0
    assert sorted(run.finished_calls()) == sorted(keys)
    for name, table in contents.items():
        assert run.tables.read(name).equals(table), name
    assert "model server starting" not in output and output.count("were trained") + output.count("was trained") == 2
