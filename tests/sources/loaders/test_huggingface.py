"""Datasets of a hub by YAML alone: what is read is named by its commit, whatever the revision is called."""

import json
import os
import subprocess
import sys

from tests.support.local_hub import FIRST, SECOND, hub


def test_a_dataset_of_the_hub_is_read_at_a_commit_that_is_recorded(tmp_path):
    mapped = {"path": "lab/sums", "columns": {"text": "problem"}}
    asked = [
        mapped,
        {**mapped, "streaming": True},
        {"path": "lab/sums", "revision": "v1"},
        {"path": "lab/sums"},
        {"path": "lab/sums", "revision": "v9"},
    ]
    with hub() as address:
        environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1"}
        environment.pop("HF_HUB_OFFLINE", None)
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.local_hub", json.dumps(asked)],
            capture_output=True, text=True, env=environment, timeout=120,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    now, stream, pinned, changed, unknown = [json.loads(line) for line in done.stdout.splitlines()]
    assert (now["rows"], now["revision"], len(now["texts"])) == (25, SECOND, 4)
    assert (stream["rows"], stream["revision"], len(stream["texts"])) == (None, SECOND, 4)
    assert (pinned["rows"], pinned["revision"]) == (20, FIRST)
    assert "there is no column 'question' (columns.text); columns there: problem, answer" in changed["error"]
    assert "'src': lab/sums: " in unknown["error"] and "v9" in unknown["error"]
