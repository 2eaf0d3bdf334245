"""Equality of two expressions as mathematics: math-verify, in a process of its own.

An answer is a hostile text: a tower of powers, or an equation that no simplifier gets done with, would hold up
whoever judges it. So the comparison runs in one long-lived worker process per process (started at the first
expression), with a limit on CPU seconds per comparison, which does not depend on how busy the machine is, and a limit
on memory; if the limit cannot stop it, the worker is killed and the next one started. A power or a factorial of numbers
that would have too many digits is refused where it would be worked out, so that (n+1)! and e^{x^2} are not.
math-verify's own time-outs use signals, which fail outside the main thread.

Only LaTeX is parsed (by a grammar, never by eval); other notations are turned into it first (verdicts/latex.py). Plain
numbers, names of figures and words are compared without the worker.
"""

import atexit
import contextlib
import functools
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

from verdicts.latex import canonical, figure, is_words, same_figure, to_latex
from verdicts.numbers import Number, gold_units, parse_number
from verdicts.texts import same_text
from verdicts.units import conversions

CPU_SECONDS = 5.0
"""CPU time of one comparison."""
WALL_SECONDS = 60.0
"""Wall-clock time after which the worker is killed."""
MEMORY_BYTES = 4 << 30
DECIMAL = Fraction(2, 1_000_000)
"""Relative difference that two numbers may have of which one is a decimal."""
_ALLOWED = re.compile(r"[A-Za-z0-9\s+\-*/^(){}\[\]=.,\\_|<>!%':;&]+")
_VARIABLE = re.compile(r"\d\s?[A-Za-z](?![A-Za-z0-9])|=|\\approx")
"""What makes a text that reads as a number with a unit or a name a formula: 3m, 5k, x = 3."""


class _TooLong(BaseException):
    pass


def _serve() -> None:
    """The worker's loop, a JSON line in and one out: [answer, gold] gives [equal, how, []], [gold] its writings."""
    import logging
    import resource

    from verdicts.comparing import TooBigError, bound_arithmetic, compare
    from verdicts.writings import writings

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    logging.disable(logging.CRITICAL)
    reply = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the libraries print must not reach the reply

    def stop(_signal: int, _frame: object) -> None:
        raise _TooLong

    signal.signal(signal.SIGPROF, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    bound_arithmetic()
    with contextlib.suppress(Exception):
        compare("1", "1")  # imports everything before the first clock runs
    print("ready", file=reply, flush=True)
    for line in sys.stdin:
        texts, found = json.loads(line), []
        try:
            signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
            result = (bool(writings(texts[0], found)), "") if len(texts) == 1 else compare(*texts)
        except _TooLong:
            result = (False, "timed_out")
        except TooBigError:
            result = (False, "too_big")
        except MemoryError:
            result = (False, "out_of_memory")
        except Exception as error:
            result = (False, f"failed_{type(error).__name__}")
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps([*result, found]), file=reply, flush=True)


class _Worker:
    """The worker process of this process; a fork starts its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def _start(self) -> subprocess.Popen[bytes]:
        root = str(Path(__file__).resolve().parent.parent)
        path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "verdicts.expressions"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": path},
        )
        self._owner = os.getpid()
        if self._line(120.0) != b"ready\n":
            self.stop()
            raise RuntimeError("the worker that compares expressions did not start: is math-verify installed?")
        return self._process

    def _line(self, seconds: float) -> bytes:
        assert self._process is not None and self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        return self._process.stdout.readline() if ready else b""

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            process.kill()
            process.wait()
            assert process.stdin is not None and process.stdout is not None
            process.stdin.close()
            process.stdout.close()

    def ask(self, *texts: str) -> tuple[bool, str, list[str]]:
        with self._lock:
            for _ in range(2):  # once more if the worker was found dead
                process = self._process
                if process is None or self._owner != os.getpid() or process.poll() is not None:
                    process = self._start()
                assert process.stdin is not None
                try:
                    process.stdin.write(json.dumps(texts).encode() + b"\n")
                    process.stdin.flush()
                except BrokenPipeError:
                    self.stop()
                    continue
                line = self._line(WALL_SECONDS)
                if line:
                    right, how, found = json.loads(line)
                    return right, how, found
                self.stop()
                return False, "timed_out", []
            return False, "failed_worker", []


_worker = _Worker()
atexit.register(_worker.stop)
os.register_at_fork(after_in_child=lambda: setattr(_worker, "_lock", threading.Lock()))


@functools.lru_cache(maxsize=65536)
def _number(text: str) -> Number | None:
    """The number that an expression is, without asking the worker; None for a formula."""
    return None if _VARIABLE.search(text) else parse_number(text)


def _equal_numbers(answer: Number, gold: Number, units: bool) -> bool:
    """Whether two numbers are equal as mathematics: exactly, or nearly where one is a decimal."""
    wanted = gold.value / 100 if gold.percent else gold.value
    decimal = answer.decimals is not None or gold.decimals is not None
    for value in gold_units(answer, gold, units):
        value = value / 100 if answer.percent else value
        if value == wanted or (decimal and abs(value - wanted) <= DECIMAL * max(abs(value), abs(wanted))):
            return True
    return False


def _units_differ(one: str, other: str) -> bool:
    if not one or not other:
        return False
    ways = conversions(one, other)
    return ways is None or all(way != (1, 0) for way in ways)


def _readable(latex: str) -> bool:
    """Whether the parser is asked at all: it would take "1 2" for a mixed number."""
    return bool(_ALLOWED.fullmatch(latex)) and not re.search(r"\d\s+\d", latex)


@functools.lru_cache(maxsize=16384)
def equal(answer: str, gold: str, units: bool = True) -> tuple[bool, str]:
    """Whether two expressions are equal, and how that was found: `same_text`, `number`, `name` (of a figure), `words`,
    `units` (which differ), `expression`, `not_an_expression`, `too_big`, `timed_out`, `out_of_memory` or `failed_…`.

    Args:
        units: whether two units must agree.

    Raises:
        RuntimeError: the worker cannot be started at all (math-verify is missing).
    """
    if "".join(answer.split()) == "".join(gold.split()):
        return True, "same_text"
    named, wanted = figure(answer), figure(gold)
    if named and wanted:
        return same_figure(named, wanted), "name"
    if is_words(answer) or is_words(gold):
        return same_text(answer, gold), "words"
    number, gold_number = _number(answer), _number(gold)
    if number and gold_number:
        return _equal_numbers(number, gold_number, units), "number"
    (given, unit), (right, gold_unit) = to_latex(answer), to_latex(gold)
    if units and _units_differ(unit, gold_unit):
        return False, "units"
    if canonical(given) == canonical(right):
        return True, "same_text"
    if not _readable(given) or not _readable(right):
        return False, "not_an_expression"
    correct, how, _ = _worker.ask(answer, gold)
    return correct, how


_NAMED = re.compile(r"\\(?:emptyset|infty|mathbb\{[A-Z]\})\s*")


def readable(text: str) -> bool:
    """Whether an expression has no sign that the parser does not know."""
    return bool(figure(text)) or is_words(text) or _readable(to_latex(text)[0])


def is_plain(text: str) -> bool:
    """Whether an expression is a number, a name of a figure or a set, or words: the parser is not asked about it."""
    if figure(text) or is_words(text) or _NAMED.fullmatch(to_latex(text)[0]):
        return True
    return _number(text) is not None


@functools.lru_cache(maxsize=16384)
def writings(gold: str) -> tuple[str, ...]:
    """Other ways of writing an expression that differ from it in structure; none for what is not an expression."""
    if not _readable(to_latex(gold)[0]):
        return ()
    return tuple(_worker.ask(gold)[2])


if __name__ == "__main__":
    _serve()
