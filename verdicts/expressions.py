"""Equality of two expressions as mathematics: math-verify, in a process of its own.

An answer is a hostile text: a tower of powers, or an equation that no simplifier gets done with, would hold up
whoever judges it. So the comparison runs in one long-lived worker process per process (started at the first
expression), with a limit on CPU seconds per comparison, which does not depend on how busy the machine is, and a limit
on memory; if the limit cannot stop it (big-number arithmetic in C), the worker is killed and the next one started.
math-verify's own time-outs use signals, which fail outside the main thread.

Only LaTeX is parsed (by a grammar, never by eval); Python's notation is turned into it first.
"""

# ruff: noqa: RUF001 - signs that look alike are what this module is about

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
from pathlib import Path

CPU_SECONDS = 5.0
"""CPU time of one comparison."""
WALL_SECONDS = 60.0
"""Wall-clock time after which the worker is killed."""
MEMORY_BYTES = 4 << 30
_ALLOWED = re.compile(r"[A-Za-z0-9\s+\-*/^(){}\[\]=.,\\_|<>!°%'π√×·÷−∞≤≥±:;]+")
_BIG_EXPONENT = re.compile(r"\^\s*[{(]*\s*-?\d{5,}")
_TOWER = re.compile(r"\^\s*(?:-?\w+|\{[^{}]*\}|\([^()]*\))\s*\^|\^\s*[{(][^{}()]*\^|\^\s*[{(]\s*[({]")
_BIG_FACTORIAL = re.compile(r"\d{4,}\s*!|!\s*!|\)\s*!")


def to_latex(text: str) -> str:
    """LaTeX for an expression in LaTeX or in the usual plain notation (2*x**3, sqrt(2), 3×4)."""
    text = text.replace("**", "^").replace("−", "-").replace("×", "*").replace("·", "*").replace("÷", "/")
    text = re.sub(r"\^\s*\(([^()]*)\)", r"^{\1}", text)
    text = re.sub(r"\^\s*(-?\d+)", r"^{\1}", text)
    text = text.replace("*", r" \cdot ").replace("π", r"\pi ").replace("√", r"\sqrt ").replace("∞", r"\infty ")
    text = re.sub(r"(?<![\\a-zA-Z])(sqrt)\s*\(([^()]*)\)", r"\\sqrt{\2}", text)
    return re.sub(r"(?<![\\a-zA-Z])(sin|cos|tan|log|ln|exp|pi)(?![a-zA-Z])", r"\\\1 ", text)


def _refused(text: str) -> str | None:
    """Why a text is not even handed to the worker."""
    powers = text.replace("**", "^")
    if not _ALLOWED.fullmatch(text):
        return "not_an_expression"
    if _BIG_EXPONENT.search(powers) or _TOWER.search(powers) or _BIG_FACTORIAL.search(powers):
        return "too_big"
    return None


def _compare(answer: str, gold: str) -> tuple[bool, str]:
    """Parse both and compare them; called in the worker."""
    from math_verify import LatexExtractionConfig, parse, verify

    def read(text: str) -> list:
        # No fallback: without it a text that is not an expression would still be compared as text.
        wrapped = f"${to_latex(text)}$"
        return parse(
            wrapped,
            [LatexExtractionConfig()],
            fallback_mode="no_fallback",
            parsing_timeout=None,  # pyright: ignore[reportArgumentType] - None is none, as in `verify`
        )

    left, right = read(answer), read(gold)
    if not left or not right:
        return False, "not_an_expression"
    return bool(verify(right, left, timeout_seconds=None)), "expression"


class _TooLong(BaseException):
    pass


def _serve() -> None:
    """The worker's loop: one JSON line [answer, gold] in, one JSON line [equal, how] out."""
    import logging
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    logging.disable(logging.CRITICAL)
    reply = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the libraries print must not reach the reply

    def stop(_signal: int, _frame: object) -> None:
        raise _TooLong

    signal.signal(signal.SIGPROF, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(Exception):
        _compare("1", "1")  # imports everything before the first clock runs
    print("ready", file=reply, flush=True)
    for line in sys.stdin:
        answer, gold = json.loads(line)
        try:
            signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
            result = _compare(answer, gold)
        except _TooLong:
            result = (False, "timed_out")
        except MemoryError:
            result = (False, "out_of_memory")
        except Exception as error:
            result = (False, f"failed_{type(error).__name__}")
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(result), file=reply, flush=True)


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

    def ask(self, answer: str, gold: str) -> tuple[bool, str]:
        with self._lock:
            for _ in range(2):  # once more if the worker was found dead
                process = self._process
                if process is None or self._owner != os.getpid() or process.poll() is not None:
                    process = self._start()
                assert process.stdin is not None
                try:
                    process.stdin.write(json.dumps([answer, gold]).encode() + b"\n")
                    process.stdin.flush()
                except BrokenPipeError:
                    self.stop()
                    continue
                line = self._line(WALL_SECONDS)
                if line:
                    right, how = json.loads(line)
                    return right, how
                self.stop()
                return False, "timed_out"
            return False, "failed_worker"


_worker = _Worker()
atexit.register(_worker.stop)
os.register_at_fork(after_in_child=lambda: setattr(_worker, "_lock", threading.Lock()))


@functools.lru_cache(maxsize=16384)
def equal(answer: str, gold: str) -> tuple[bool, str]:
    """Whether two expressions are equal, and how that was found: `same_text`, `expression`, `not_an_expression`,
    `too_big`, `timed_out`, `out_of_memory` or `failed_…`.

    Raises:
        RuntimeError: the worker cannot be started at all (math-verify is missing).
    """
    if "".join(answer.split()) == "".join(gold.split()):
        return True, "same_text"
    for text in (answer, gold):
        if reason := _refused(text):
            return False, reason
    return _worker.ask(answer, gold)


if __name__ == "__main__":
    _serve()
