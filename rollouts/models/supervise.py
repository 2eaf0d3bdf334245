"""Run one command so that it never outlives the process that asked for it.

    python supervise.py --parent PID --log FILE --grace SECONDS -- COMMAND ...

The supervisor is a small process of its own between the parent and the command. Its standard input is a pipe that only
the parent writes to (and nobody ever does): when the parent exits, is killed, or closes the pipe, the read ends and the
supervisor stops the command's whole process group, first with SIGTERM, then with SIGKILL. SIGTERM to the supervisor
does the same. If the supervisor itself is killed, the kernel sends the command SIGTERM (PR_SET_PDEATHSIG).

It exits with the command's exit status. Only the standard library is imported, so it starts in milliseconds and runs
under any interpreter. Linux only.
"""

import argparse
import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time

_PR_SET_PDEATHSIG = 1
_POLL_S = 0.2


def die_with_parent(parent: int) -> None:
    """Ask the kernel for SIGTERM when the parent dies; runs in the child, before exec."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it died before the request was in place
        os._exit(1)


def group_lives(group: int) -> bool:
    """Whether any process of the group, other than one that has ended and waits to be reaped, is left."""
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry.name}/stat") as file:
                state, _parent, its_group = file.read().rsplit(")", 1)[1].split()[:3]  # the name may hold spaces
                if int(its_group) == group and state not in "ZX":
                    return True
    return False


def stop_group(group: int, grace: float) -> None:
    """SIGTERM to every process of the group; after `grace` seconds SIGKILL to those that are left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGTERM)
        deadline = time.monotonic() + grace
        while time.monotonic() < deadline and group_lives(group):
            time.sleep(0.05)
        os.killpg(group, signal.SIGKILL)


def supervise(command: list[str], log: str, parent: int, grace: float) -> int:
    """Run `command`, its output appended to `log`, until it ends or the parent is gone; return its exit status."""
    stopping = False

    def stop(_signal: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    me = os.getpid()
    with open(log, "ab", buffering=0) as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: die_with_parent(me),
        )
    while process.poll() is None and not stopping:
        readable, _, _ = select.select([sys.stdin], [], [], _POLL_S)
        # A process that the parent forked may hold the pipe open after the parent's death: hence the second look.
        stopping = stopping or (bool(readable) and not os.read(0, 1024)) or os.getppid() != parent
    # Also when the command ended by itself: what it started must not stay.
    stop_group(process.pid, grace)
    return process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parent", type=int, required=True, help="process id of the parent")
    parser.add_argument("--log", required=True, help="file that the command's output is appended to")
    parser.add_argument("--grace", type=float, default=15.0, help="seconds between SIGTERM and SIGKILL")
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    status = supervise(given.command, given.log, given.parent, given.grace)
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
