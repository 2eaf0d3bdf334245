"""What an attack is: the cells it runs, and what each may come to."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from .syscalls import numbers


@dataclass(frozen=True)
class Cell:
    """Code, and what its result must be. What the host sees is checked besides, whatever the code says of itself."""

    code: str
    outcomes: tuple[str, ...] = ("ok",)
    """Accepted outcomes; `infrastructure` never is one."""
    stdout: str = r"(?s).*"
    """A regular expression for all that was printed."""
    value: str = r"(?s).*"
    """The same for the last expression's value."""
    error: str = ""
    """A regular expression found in the error."""
    notes: str = ""
    """A regular expression found in the notes."""
    images: tuple[int, int] | None = None
    """The least and the most result images."""
    neighbour: bool = False
    """Run in the other session, which stands for an innocent one."""
    pause_s: float = 0.0
    """Wait so long afterwards, for what goes on behind the cell."""


@dataclass(frozen=True)
class Attack:
    """One hostile program."""

    name: str
    aim: str
    """What it tries, for the table."""
    cells: tuple[Cell, ...]
    profile: Literal["usual", "short"] = "usual"
    """Which limits: `short` for what must be stopped by the clock."""
    alone: bool = False
    """Run while nothing else runs, with the host's memory watched."""
    neighbour: bool = False
    """Open a second session, before the attack's own."""
    still_works: bool = True
    """Whether `1 + 1` is 2 in the same session afterwards; False where the attack spoils its own session."""
    machines: tuple[str, ...] = ("x86_64", "aarch64")
    check: Callable[[Any], str] | None = None
    """A further look from the host while the sessions are open (it gets the host.Host); returns what is wrong."""
    files: dict[str, bytes] = field(default_factory=dict)
    """Handed to the neighbour's session."""


def refused(names: str) -> str:
    """The output of code whose attempts of these names (spaces between) were refused, every one and in this order."""
    return "".join(rf"{re.escape(name)} refused \w+\n" for name in names.split())


PRELUDE = f"""
import ctypes, errno, os, subprocess, sys, time
libc = ctypes.CDLL(None, use_errno=True)
NUMBERS = {numbers()!r}

def syscall(name, *arguments):
    ctypes.set_errno(0)
    values = [ctypes.c_void_p(a % (1 << 64)) if isinstance(a, int) else a for a in arguments]
    result = libc.syscall(ctypes.c_long(NUMBERS[name]), *values)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def attempt(name, action, *arguments, **named):
    try:
        result = action(*arguments, **named)
    except Exception as error:
        number = getattr(error, 'errno', None)
        print(name, 'refused', errno.errorcode.get(number, type(error).__name__))
    else:
        print(name, 'DONE', repr(result)[:200])

try:
    _space = os.readlink('/proc/self/ns/pid')
except OSError:
    _space = ''
_space
"""
"""The first cell of every attacking session: tools, and as its value the pid namespace, by which the host finds it."""
