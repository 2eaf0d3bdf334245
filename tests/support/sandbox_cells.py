"""Code for sandbox sessions, and what tests look at from outside."""

import io
import os
import signal
import time
from pathlib import Path

from PIL import Image

from sandbox import LocalSandbox
from sandbox.local import fork_client as fork_server

RUN_CELLS = """
import asyncio, json, os, sys
from records.recipe import SandboxSettings
from sandbox import LocalSandbox

async def main():
    async with await LocalSandbox(SandboxSettings(cell_timeout_s=20, processes=16)).open([]) as session:
        seen = []
        for cell in json.loads(sys.argv[1]):
            result = await session.run(cell)
            seen.append([result.outcome, result.stdout, result.value, result.error])
        print(json.dumps([os.getuid(), seen]), flush=True)
        if len(sys.argv) > 2:
            await asyncio.sleep(600)

asyncio.run(main())
"""
"""A program that runs the cells of its first argument, a JSON list; with a second argument it stays."""


def png(width: int = 20, height: int = 10, colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


def marked(marker: str) -> list[int]:
    """Processes of this machine, by a word of their command line."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if marker.encode() in words:
                found.append(int(entry))
    return found


def daemon(marker: str) -> str:
    """Code that leaves a process of its own session, group and parent."""
    return (
        "import subprocess, sys\n"
        f"line = [sys.executable, '-S', '-c', 'import time; time.sleep(600)', {marker!r}]\n"
        "subprocess.Popen([sys.executable, '-S', '-c', 'import subprocess, sys; '\n"
        "    'subprocess.Popen(sys.argv[1:], start_new_session=True)', *line]).wait()\n"
    )


def kill_fork_server(sandbox: LocalSandbox) -> None:
    for server in list(fork_server._servers.values()):
        if server.pid:
            os.kill(server.pid, signal.SIGKILL)
    time.sleep(0.3)  # its sessions end with it
