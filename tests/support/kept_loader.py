"""A trainer's loader that is imported once and reads several exports, in place of an interpreter for each of them."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import training.formats

# `read` is the whole of a loader's script, but for its command line; the run of the whole graph uses that too.
PROGRAM = """
import contextlib, json, runpy, sys
read = runpy.run_path(sys.argv[1], run_name="loader")["read"]
for line in sys.stdin:
    with contextlib.redirect_stdout(sys.stderr):
        result = read(json.loads(line))
    print(json.dumps(result), flush=True)
"""
LEFT_OUT = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")
GIVEN = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false"}


class KeptLoaders:
    """Takes the place of `training.formats.run_loader`; each script gets one process, which ends with `close`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[str]] = {}

    def __call__(self, python: Path, script: str, request: dict[str, Any], timeout_s: float = 0) -> dict[str, Any]:
        """What the script makes of the request. Raises ExportError with the end of what it said."""
        process = self._processes.get(script) or self._start(python, script)
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        if not (line := process.stdout.readline()):
            said = (self._folder / f"{script}.log").read_text()[-2000:]
            raise training.formats.ExportError(f"{script}: the trainer's loader failed:\n{said}")
        return json.loads(line)

    def _start(self, python: Path, script: str) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if name not in LEFT_OUT} | GIVEN
        path = Path(training.formats.__file__).parent / script
        with (self._folder / f"{script}.log").open("w") as log:
            self._processes[script] = subprocess.Popen(
                [str(python), "-c", PROGRAM, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                text=True, env=environment, cwd=self._folder,
            )  # fmt: skip
        return self._processes[script]

    def close(self) -> None:
        for process in self._processes.values():
            process.kill()  # it keeps nothing, and to end in good order takes it seconds
            process.communicate()
