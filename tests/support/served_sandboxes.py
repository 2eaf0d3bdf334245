"""Sandboxes for tests of what is around them: a stand-in without processes, and a real server."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from records.recipe import SandboxSettings
from sandbox import CellResult, SandboxUnavailable

TOKEN = "the-token-of-the-tests"
SERVE = """
import os, sys
from records.recipe import SandboxSettings
from sandbox.http.server import ServerAddress, serve
serve(SandboxSettings.model_validate_json(sys.argv[1]), os.environ["TOUCHSTONE_SANDBOX_TOKEN"], ServerAddress(port=0))
"""


class StandIn:
    """A sandbox that counts its sessions, and fails in the way that a cell's code says."""

    def __init__(self) -> None:
        self.open_now = self.opened = 0
        self.closed = False

    async def open(self, images: Any = (), files: Any = None, seed: int | None = None) -> Any:
        self.open_now += 1
        self.opened += 1
        return StandInSession(self)

    async def close(self) -> None:
        self.closed = True


class StandInSession:
    def __init__(self, sandbox: StandIn) -> None:
        self._sandbox, self._open = sandbox, True

    async def run(self, code: str) -> CellResult:
        if code == "fault":
            return CellResult("infrastructure", error="the worker is gone")
        if code == "unavailable":
            raise SandboxUnavailable("no walls")
        if code == "bug":
            raise KeyError("bug")
        return CellResult("ok", value=code)

    async def close(self) -> None:
        if self._open:
            self._sandbox.open_now -= 1
        self._open = False

    async def __aenter__(self) -> "StandInSession":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


@contextlib.contextmanager
def served(settings: SandboxSettings) -> Iterator[str]:
    """The URL of a sandbox server in a process of its own."""
    environment = os.environ | {"TOUCHSTONE_SANDBOX_TOKEN": TOKEN, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", SERVE, settings.model_dump_json()]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            found = re.search(r"https?://[^\s,]+", line)
            assert found, f"the server did not come up: {line!r}"
            yield found.group()
        finally:
            process.terminate()


def open_sessions(url: str) -> int:
    """How many sessions are open at a server."""
    import httpx

    known = {"Authorization": f"Bearer {TOKEN}"}
    return httpx.get(f"{url}/v1/status", headers=known, trust_env=False).json()["sessions"]["open"]
