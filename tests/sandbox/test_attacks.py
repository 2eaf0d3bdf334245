"""The sandbox holds against every hostile program, run by this user and by nobody (docs/sandbox-attacks.md)."""

import functools
import json
import os
import platform
import signal
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest

from tests.sandbox.attacks import judge
from tests.sandbox.attacks.as_nobody import REPOSITORY, CannotBecomeNobody, command, environment
from tests.sandbox.attacks.case import PRELUDE, Cell
from tests.sandbox.attacks.host import Host
from tests.sandbox.attacks.run import PNG, SETTINGS
from tests.sandbox.attacks.suite import ATTACKS, GROUPS

USERS = ["this user", "nobody"] if os.getuid() == 0 else ["this user"]
NAMES = [attack.name for attack in ATTACKS if platform.machine() in attack.machines]
WALLS = ("network", "files", "other sessions", "what all share", "privileges")
"""Groups of attacks on walls that differ with the user; as a second user, the others are slow tests."""
AGAIN = {attack.name for group, attacks in GROUPS.items() if group not in WALLS for attack in attacks}


def case(name: str, user: str) -> Any:
    again = user == "nobody" and name in AGAIN
    return pytest.param(name, user, again, marks=pytest.mark.slow if again else (), id=f"{name}-{user}")


@functools.cache
def outcome(user: str, again: bool) -> dict[str, Any]:
    """The attacks of one user, run once: those that only slow tests ask for, or the others.

    Returns `skip` or `fail`, which say why there is nothing, otherwise.
    """
    names = [name for name in NAMES if user != "nobody" or (name in AGAIN) == again]
    line = [sys.executable, "-m", "tests.sandbox.attacks.run", "--json", "--only", *names]
    try:
        line = command(line) if user == "nobody" else line
    except CannotBecomeNobody as error:
        return {"skip": str(error)}
    variables = environment() if user == "nobody" else None
    ended = subprocess.run(line, cwd=REPOSITORY, env=variables, capture_output=True, text=True, timeout=3000)
    try:
        return json.loads(ended.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return {"fail": f"exit status {ended.returncode}\n{ended.stdout[-2000:]}\n{ended.stderr[-4000:]}"}


def reported(user: str, again: bool = False) -> dict[str, Any]:
    done = outcome(user, again)
    if "skip" in done:
        pytest.skip(done["skip"])
    assert "fail" not in done, done["fail"]
    assert (done["user"] == os.getuid()) == (user == "this user")
    return done


@pytest.mark.parametrize(("name", "user", "again"), [case(name, user) for user in USERS for name in NAMES])
def test_the_attack_is_contained(name, user, again):
    row = reported(user, again)["rows"][name]
    assert not row["problems"], "\n".join(row["problems"])
    assert row["outcomes"] and "infrastructure" not in row["outcomes"]


@pytest.mark.parametrize("user", USERS)
def test_nothing_is_left_on_the_host_after_all_attacks(user):
    assert reported(user)["afterwards"] == []


def test_there_are_enough_attacks_and_each_has_a_name_of_its_own():
    assert len(set(NAMES)) == len(NAMES) >= 60


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("tcp_loopback", "v4-0 DONE"),
        ("unix_path", "path-0 DONE"),
        ("unix_abstract", "kind-1 DONE"),
        ("udp", ""),
        ("host_files", "SECRET-"),
        ("environment", "SECRET-"),
        ("paths_out", "SECRET-"),
    ],
)
def test_without_walls_the_same_program_does_its_harm(name, word):
    """So that a refusal is the sandbox's doing and not a program that never worked."""
    (attack,) = (attack for attack in ATTACKS if attack.name == name)
    with Host() as host:
        host.prove_bait()
        code = f"host = {host.told('at-none')!r}\n{PRELUDE}\n{attack.cells[0].code}"
        code = code.replace("'/tmp/link", f"'{host.files[0].parent}/link").replace("/tmp/hard", "/proc/none")
        try:
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
        finally:
            for link in host.files[0].parent.glob("link*"):
                link.unlink()
        shown = host.secret if word == "SECRET-" else word
        assert shown in done.stdout, done.stderr
        if word != "SECRET-":
            deadline = time.monotonic() + 60
            while not host.harm() and time.monotonic() < deadline:
                time.sleep(0.01)
            assert any("server was reached" in harm for harm in host.harm())


def test_harm_to_the_host_is_seen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Host() as host:
        assert host.harm() == []
        os.kill(host.decoy.pid, signal.SIGUSR1)
        host.files[0].write_text("changed")
        made = tmp_path / f"at-{host.word}-x"
        made.touch()
        deadline = time.monotonic() + 60
        while "got signals" not in (harm := "\n".join(host.harm())) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert f"signals {int(signal.SIGUSR1)}" in harm and f"changed: the file {host.files[0]}" in harm
        assert f"a file was made: {made}" in harm
        os.kill(host.decoy.pid, signal.SIGKILL)
        host.decoy.wait()
        assert f"the decoy process ended with -{int(signal.SIGKILL)}" in host.harm()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"outcome": "infrastructure"}, "the outcome is infrastructure"),
        ({"stdout": "more"}, "stdout is 'more'"),
        ({"stderr": "the secret word"}, "THE SECRET is in stderr"),
        ({"value": "\ud800"}, "value cannot be written"),
        ({"error": "x" * 30_000}, "error is a str of 30000 characters"),
        ({"images": [PNG[:-40]]}, "cannot be decoded"),
        ({"images": [PNG + b"PK"]}, "something behind its end"),
        ({"images": [b"GIF89a"]}, "begins with"),
        ({"images": [PNG] * 5}, "5 images"),
        ({"outcome": "killed"}, "the state is kept"),
        ({"usage": SimpleNamespace(seconds=999.0, cpu_s=0.1)}, "it took 999.0 s"),
        ({"usage": SimpleNamespace(seconds=9.0, cpu_s=99_999.0)}, "it used 99999.0 CPU seconds"),
    ],
)
def test_a_wrong_result_is_seen(changes, complaint):
    fine = {"outcome": "ok", "stdout": "", "stderr": "", "value": "", "error": "", "images": [PNG], "notes": []}
    fine |= {"usage": SimpleNamespace(seconds=0.1, cpu_s=0.1), "state_lost": False}
    cell = Cell("", ("ok", "killed"), stdout="")
    assert judge.result(SimpleNamespace(**fine), cell, SETTINGS["usual"], "the secret word") == []
    (found,) = judge.result(SimpleNamespace(**{**fine, **changes}), cell, SETTINGS["usual"], "the secret word")
    assert complaint in found
