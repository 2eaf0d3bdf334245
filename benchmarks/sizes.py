"""A measurement at several sizes, each written and run in a process of its own: its peak of memory is its own."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path


def at_sizes(module: str, sizes: Sequence[int], what: str) -> list[dict]:
    """What `command` of a module prints at each size.

    Raises:
        RuntimeError: a process failed; `what` says what there were so many of.
    """
    figures = []
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="touchstone-size-") as folder:
            for job in ("write", "run"):
                order = [sys.executable, "-m", module, job, folder, str(size)]
                done = subprocess.run(order, capture_output=True, text=True)
                if done.returncode:
                    raise RuntimeError(f"{job} of {size} {what} failed:\n{done.stderr[-3000:]}")
            figures.append(json.loads(done.stdout.splitlines()[-1]))
            print(figures[-1], flush=True)
    return figures


def time_each(figures: Sequence[dict], what: str) -> float:
    """How much longer one of `what` takes in the last of the figures than in the first."""
    each = [figure["seconds"] / figure[what] for figure in figures]
    return round(each[-1] / each[0], 2)


def command(write: Callable[[Path, int], None], run: Callable[[Path], dict]) -> None:
    """The module's own command: `write FOLDER SIZE`, or `run FOLDER SIZE`, which prints one JSON object."""
    job, folder, size = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if job == "write":
        write(folder, size)
    else:
        print(json.dumps(run(folder)))
