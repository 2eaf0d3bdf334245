"""What the sandbox is measured against: ipykernel behind bubblewrap, and a fresh interpreter behind it for every call.

Both see the same files as our sessions, with the same interpreter, variables, namespaces and dropped capabilities.
Resource limits, cgroups, the second user and the watch over what a session uses are left out. The kernel also goes
without the system call filter (libzmq asks for the network's interfaces at its start, and gives up when refused),
keeps no history, and its sockets are found without delay. What differs is in the peers' favour.
Sources: jupyter_client's messaging protocol 5 (jupyter-client.readthedocs.io, messaging), bwrap(1).
"""

import asyncio
import compileall
import contextlib
import json
import os
import queue
import secrets
import shutil
import subprocess
import tempfile
import time
from base64 import b64decode
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from sandbox.walls import bubblewrap, seccomp

INSTALL = "pip install 'ipykernel>=7.4,<8' 'jupyter_client>=8.10,<9'"
"""The command that installs the peers."""
try:
    import ipykernel
    import zmq
    import zmq.asyncio
    from jupyter_client import __version__ as client_version  # pyright: ignore[reportPrivateImportUsage] # no __all__
    from jupyter_client.asynchronous.client import AsyncKernelClient

    VERSIONS = {"ipykernel": ipykernel.__version__, "jupyter_client": client_version}  # pyright: ignore[reportPrivateImportUsage] # no __all__
except ImportError:
    VERSIONS = {}

SHARED = "/run/kernel"
"""The path at which the kernel sees the folder of its sockets: without a network there is no TCP."""
KERNEL = "from ipykernel.kernelapp import launch_new_instance as launch; launch()"
"""The program of a kernel."""
SECONDS = 60.0
"""How many seconds one answer of a kernel may take."""


def byte_compile(*distributions: str) -> None:
    """Compile these and what they require where necessary: behind the walls an interpreter cannot save the result,
    and would compile again at every start."""
    todo, seen = list(distributions), set()
    while todo:
        name = todo.pop().lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        with contextlib.suppress(metadata.PackageNotFoundError):  # not needed on this machine
            for file in metadata.files(name) or []:
                if file.suffix == ".py" and "tests" not in file.parts:
                    compileall.compile_file(file.locate(), quiet=2)
            wanted = [Requirement(text) for text in metadata.requires(name) or []]
            todo += [one.name for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]


def walls(*more: str) -> list[str]:
    """Our own command line of bubblewrap for one who is not root, with more arguments, up to the program to run."""
    line = bubblewrap.command(bubblewrap.candidates()[0], -1, None, -1)
    line = line[: line.index("--")]
    at = line.index("--info-fd")
    del line[at : at + 2]
    at = line.index("--remount-ro")
    return [*line[:at], *more, *line[at:]]


def python(code: str, *arguments: str) -> list[str]:
    """The interpreter as our workers have it, running this code."""
    return ["--", bubblewrap.interpreter(), "-S", "-s", "-P", "-B", "-c", code, *arguments]


def imports(modules: Sequence[str]) -> str:
    return f"import {', '.join(modules)}\n" if modules else ""


async def fresh(code: str, modules: Sequence[str] = ()) -> str:
    """What a fresh interpreter behind bubblewrap prints when it runs this code after those imports."""

    def run() -> str:
        out, into = os.pipe()
        try:
            os.write(into, seccomp.program())  # far below a pipe's capacity
            os.close(into)
            line = [*walls("--seccomp", str(out)), *python(imports(modules) + code)]
            return subprocess.run(line, capture_output=True, check=True, pass_fds=[out], env={}).stdout.decode()
        finally:
            os.close(out)

    return await asyncio.to_thread(run)


@dataclass
class KernelAnswer:
    """What a cell showed."""

    value: str = ""
    stdout: str = ""
    error: str = ""
    images: list[bytes] = field(default_factory=list)


class Kernel:
    """An ipykernel behind bubblewrap, spoken to over unix sockets."""

    def __init__(self, process: subprocess.Popen, client: "AsyncKernelClient", folder: Path) -> None:
        self._process, self._client, self.folder = process, client, folder
        self.ready_s = 0.0
        """The seconds from before the start of bubblewrap until the kernel's first answer."""

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls) -> AsyncIterator["Kernel"]:
        """A kernel that has answered. Raises TimeoutError, RuntimeError if it does not."""
        start = time.perf_counter()
        folder = Path(tempfile.mkdtemp(prefix="kernel-"))
        ports = {f"{name}_port": i for i, name in enumerate(("shell", "iopub", "stdin", "control", "hb"), 1)}
        info = {"transport": "ipc", "key": secrets.token_hex(16), "signature_scheme": "hmac-sha256", **ports}
        (folder / "connection.json").write_text(json.dumps({**info, "ip": f"{SHARED}/socket"}))
        line = walls("--bind", str(folder), SHARED)
        line += python(KERNEL, "-f", f"{SHARED}/connection.json", "--HistoryManager.enabled=False")
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(line, stdin=quiet, stdout=quiet, stderr=subprocess.PIPE, env={})
        context = zmq.asyncio.Context()
        context.setsockopt(zmq.RECONNECT_IVL, 2)  # ms; by default the kernel's sockets are found up to 100 ms late
        client = AsyncKernelClient(context=context)
        client.load_connection_info({**info, "ip": str(folder / "socket")})  # pyright: ignore[reportArgumentType] # a dict it is
        client.start_channels(stdin=False, hb=False)
        kernel = cls(process, client, folder)
        try:
            await kernel._answered(client.kernel_info())
            kernel.ready_s = time.perf_counter() - start
            while not await client.iopub_channel.msg_ready():  # what cells show would be lost before
                await kernel._answered(client.kernel_info())
            yield kernel
        finally:
            client.stop_channels()
            context.destroy(linger=0)
            process.kill()
            process.wait()
            assert process.stderr is not None  # a pipe
            process.stderr.close()
            shutil.rmtree(folder, ignore_errors=True)

    async def _answered(self, request: str) -> None:
        """Wait for the shell's answer to a request."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                message = await self._client.get_shell_msg(timeout=1)
                if message["parent_header"].get("msg_id") == request:
                    return
            if self._process.poll() is not None:
                assert self._process.stderr is not None  # a pipe
                raise RuntimeError(f"the kernel ended: {self._process.stderr.read().decode(errors='replace')}")
        raise TimeoutError("the kernel does not answer")

    async def _shown(self, request: str) -> KernelAnswer:
        """What a cell shows, until the kernel says that it is idle again."""
        answer = KernelAnswer()
        while True:
            message = await self._client.get_iopub_msg(timeout=SECONDS)
            if message["parent_header"].get("msg_id") != request:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind in ("execute_result", "display_data"):
                if "image/png" in content["data"]:
                    answer.images.append(b64decode(content["data"]["image/png"]))
                elif kind == "execute_result":
                    answer.value = content["data"].get("text/plain", "")
            elif kind == "stream" and content["name"] == "stdout":
                answer.stdout += content["text"]
            elif kind == "error":
                answer.error = "\n".join(content["traceback"])
            elif kind == "status" and content["execution_state"] == "idle":
                return answer

    async def run(self, code: str) -> KernelAnswer:
        """Run a cell. Raises TimeoutError, RuntimeError, queue.Empty if the kernel does not answer."""
        request: Any = self._client.execute(code)
        answer, _ = await asyncio.gather(self._shown(request), self._answered(request))
        return answer
