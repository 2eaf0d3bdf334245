"""Proof, before any code of a model runs, that this machine isolates it."""

import asyncio
import json
import socket
import tempfile

from records.recipe import SandboxSettings
from sandbox.local.fork_client import ForkServer
from sandbox.local.jail import Jail
from sandbox.walls import bubblewrap
from sandbox.walls.bubblewrap import StartFailed
from sandbox.walls.cgroups import Cgroups

PROBE = """
import json, os, socket
found = []
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines() if ":" in line)
if int(status["CapEff"], 16) or int(status["CapPrm"], 16) or status["NoNewPrivs"].strip() != "1":
    found.append("the code keeps privileges")
if FILTER and status["Seccomp"].strip() != "2":
    found.append("no system call filter is in place")
if len(open("/proc/net/route").read().splitlines()) > 1:
    found.append("there is a route into a network")
try:
    socket.create_connection(("127.0.0.1", PORT), 1).close()
    found.append("a server of the host can be reached")
except OSError:
    pass
mounted = {line.split()[4].encode().decode("unicode_escape") for line in open("/proc/self/mountinfo")}
for path in sorted(mounted - set(EXPECTED)):
    if not any(path == shown or path.startswith(shown + "/") for shown in VISIBLE):
        found.append(f"files of the host can be seen at {path}")
for shown in VISIBLE:
    if not os.path.exists(shown) or os.path.isdir(shown) and not os.listdir(shown):
        found.append(f"{shown} should be seen, and is not")
if os.path.exists(SECRET):
    found.append("files of the host can be seen")
if unknown := sorted(set(os.environ) - set(NAMES)):
    found.append(f"the host's environment can be seen: {', '.join(unknown)}")
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
print(json.dumps(found))
"""
DEVICES = [f"/dev/{name}" for name in bubblewrap.DEVICES]
"""Where the devices of the host are mounted in a session."""
EXPECTED = ["/", "/proc", "/proc/cmdline", "/tmp", "/dev", "/dev/shm", "/run/touchstone", *DEVICES]
"""Where something is mounted in a session, beside the files of the host that it sees."""


async def find_holes(server: ForkServer, settings: SandboxSettings, cgroups: Cgroups | None) -> str:
    """Why the walls behind this fork server are not enough; empty if they are."""
    with tempfile.NamedTemporaryFile() as secret, socket.create_server(("127.0.0.1", 0)) as listener:
        names = ["PWD", *bubblewrap.environment()]  # bubblewrap adds the first
        code = f"PORT, SECRET, NAMES = {listener.getsockname()[1]}, {secret.name!r}, {names!r}\n"
        code += f"FILTER, EXPECTED, VISIBLE = {server.filtered}, {EXPECTED!r}, {bubblewrap.visible()!r}\n{PROBE}"
        jail = None
        try:
            await asyncio.shield(asyncio.wrap_future(server.ready))
            jail = await Jail.start(server, settings, [], {}, cgroups)
            async with asyncio.timeout(30):
                answer, _ = await jail.ask({"id": "probe", "code": code, "cell": 0, "images": 0, "limit": 4000})
            found = json.loads(jail.output.take()) if answer.get("outcome") == "ok" else [str(answer.get("error"))]
            return "; ".join(found)
        except Exception as error:  # whatever it is, these walls are not trusted
            return str(error) if isinstance(error, StartFailed) else f"{type(error).__name__}: {error}"
        finally:
            if jail is not None:
                await jail.end()
