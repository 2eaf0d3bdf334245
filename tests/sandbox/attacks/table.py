"""The attack table: for the terminal, and for the documentation."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from .as_nobody import REPOSITORY, command, environment
from .suite import ATTACKS, GROUPS

HEAD = """\
# The sandbox, attacked

{count} hostile programs, each run as root and as an unprivileged user (`nobody`) on the same machine. *Contained* is
what the host says, not the program: no server of the host was reached, no secret came back, no file, process, mount,
memory or setting of the host changed, nothing of the session was left when it was closed, the outcome was honest, the
same session went on or said that it was started anew, and the next session looked exactly like the first. The outcome
`ok` says that the program came to its end, with each of its attempts refused or without effect.

This page is written by `python -m tests.sandbox.attacks.run --write docs/sandbox-attacks.md`; the programs are in
`tests/sandbox/attacks/`, and `tests/sandbox/test_attacks.py` runs them with all other tests; as the second user, those
on limits, text, images and results only with the slow ones.
"""


def _outcome(row: dict[str, Any]) -> str:
    return " ".join(dict.fromkeys(row["outcomes"])) or "not run"


def _verdict(row: dict[str, Any]) -> str:
    return "**no**" if row["problems"] else "contained"


def text(done: dict[str, Any]) -> str:
    """Attack, outcome, contained; and below what went wrong."""
    lines = [f"{'attack':28} {'outcome':32} contained  seconds  memory"]
    for name, row in done["rows"].items():
        memory = "" if row["memory_mb"] is None else f"{row['memory_mb']} MB"
        contained = "NO" if row["problems"] else "yes"
        lines.append(f"{name:28} {_outcome(row):32} {contained:9} {row['seconds']:8.2f}  {memory}")
        lines += [f"    {problem}" for problem in row["problems"]]
    lines += [f"AFTERWARDS: {problem}" for problem in done["afterwards"]]
    bad = sum(bool(row["problems"]) for row in done["rows"].values())
    return "\n".join([*lines, f"{len(done['rows'])} attacks as user {done['user']}, {bad} not contained"])


def as_nobody(wanted: list[str]) -> dict[str, Any]:
    """What the same attacks come to for the user nobody. Raises RuntimeError with what the run said."""
    line = [sys.executable, "-m", "tests.sandbox.attacks.run", "--json", *(["--only", *wanted] if wanted else [])]
    ended = subprocess.run(command(line), cwd=REPOSITORY, env=environment(), capture_output=True, text=True)
    try:
        return json.loads(ended.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise RuntimeError(f"the attacks as nobody ended with {ended.returncode}: {ended.stderr[-4000:]}") from None


def write(path: str, root: dict[str, Any], nobody: dict[str, Any]) -> None:
    """Write the documentation's page, one table for each aim."""
    aims = {attack.name: attack.aim for attack in ATTACKS}
    parts = [HEAD.format(count=len(root["rows"]))]
    for group, attacks in GROUPS.items():
        parts.append(
            f"\n## {group.capitalize()}\n\n"
            "| attack | what it tries | as root | unprivileged | outcome |\n|---|---|---|---|---|\n"
        )
        for name in (attack.name for attack in attacks if attack.name in root["rows"]):
            one, two = root["rows"][name], nobody["rows"][name]
            outcomes = " / ".join(dict.fromkeys([_outcome(one), _outcome(two)]))
            parts.append(f"| `{name}` | {aims[name]} | {_verdict(one)} | {_verdict(two)} | {outcomes} |\n")
    left = [*root["afterwards"], *nobody["afterwards"]]
    parts.append("\nAfter all of them: " + ("; ".join(left) if left else "nothing was left on the host") + ".\n")
    Path(path).write_text("".join(parts))
