"""A session's own namespaces, limits and filter: everything between the fork and the first cell.

Kernel interfaces: clone(2), user_namespaces(7), pid_namespaces(7), capabilities(7), seccomp(2), proc(5).
"""

import ctypes
import os
import platform
import resource
import signal

NEWNS, NEWCGROUP, NEWUTS, NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
NAMESPACES = NEWUSER | NEWPID | NEWNS | NEWNET | NEWIPC | NEWUTS
SYS_CLONE = {"x86_64": 56, "aarch64": 220}
READ_ONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 0x1, 0x2, 0x4, 0x8, 0x20, 0x1000, 0x4000, 0x40000
SET_DUMPABLE, SET_SECCOMP, CAP_DROP, SET_NO_NEW_PRIVS, CAP_AMBIENT = 4, 22, 24, 38, 47
FILTER, AMBIENT_CLEAR_ALL, COLLAPSE = 2, 4, 25
CAPABILITY_VERSION_3 = 0x20080522
HUGE = 2 << 20
UID = 1000
"""Who everything is inside."""
COUNTED = {
    # The session itself needs none of its own; what is left is counted against the host's user all the same.
    **{f"max_{name}_namespaces": 0 for name in ("user", "pid", "mnt", "net", "ipc", "uts", "cgroup", "time")},
    "max_inotify_instances": 16,
    "max_inotify_watches": 1024,
}
"""Limits below /proc/sys/user, of what a session's user namespace may hold."""

# Keeps the interpreter's lock over a call, as the copy of a process needs it.
_libc = ctypes.PyDLL(None, use_errno=True)


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _prctl(option: int, *values: object) -> None:
    words = [*values, *[0] * (4 - len(values))]
    _check(_libc.prctl(option, *(word if not isinstance(word, int) else ctypes.c_ulong(word) for word in words)))


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def become_user() -> None:
    """Go from the namespace's root to the user whom the kernel's limits bind.

    bubblewrap covers parts of /proc where it could write to them. The user cannot, and the kernel lets a session mount
    a /proc of its own only where one lies uncovered.
    """
    with open("/proc/self/mountinfo") as file:
        covers = [line.split()[4] for line in file if line.split()[4].startswith("/proc/")]
    for cover in reversed(covers):
        _check(_libc.umount2(cover.encode(), 0))
    os.setgroups([])
    os.setresgid(UID, UID, UID)
    os.setresuid(UID, UID, UID)
    _prctl(SET_DUMPABLE, 1)  # or the maps of the sessions could not be written


def clone() -> int:
    """`os.fork` into new namespaces: 0 in the child, which is the first process of its pid namespace.

    Only for a process of one thread. The child has the rights to arrange its namespaces, and no other.
    """
    python = ctypes.pythonapi
    python.PyOS_BeforeFork()
    pid = _libc.syscall(SYS_CLONE[platform.machine()], ctypes.c_ulong(NAMESPACES | signal.SIGCHLD), 0, 0, 0, 0)
    if pid == 0:
        python.PyOS_AfterFork_Child()
    else:
        python.PyOS_AfterFork_Parent()
    return _check(pid)


def _mount(kind: str, where: str, flags: int, options: str = "") -> None:
    _check(_libc.mount(kind.encode(), where.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()))


def arrange(folders: dict[str, int], below: list[str], cgroups: list[int]) -> None:
    """Make the new namespaces this session's own.

    `folders`: the writable ones, with their sizes in bytes; `below`: read-only ones that lie in them.
    """
    for descriptor in cgroups:  # before there is a child: children are counted where they are born
        os.write(descriptor, b"0")
    _check(_libc.unshare(NEWCGROUP))  # from here, so that where it is does not show
    # A group of its own: a signal to the group would reach the fork server otherwise, namespaces or not.
    os.setsid()
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{UID} {UID} 1")
    _write("/proc/self/gid_map", f"{UID} {UID} 1")
    _check(_libc.mount(None, b"/", None, ctypes.c_ulong(REC | PRIVATE), None))
    _mount("proc", "/proc", NOSUID | NODEV | NOEXEC)
    handles = {path: os.open(path, os.O_PATH) for path in below}
    for folder, size in folders.items():
        _mount("tmpfs", folder, NOSUID | NODEV, f"size={size},nr_inodes={max(1024, size >> 12)},mode=1777")
    for path, handle in handles.items():
        os.makedirs(path)
        _check(_libc.mount(f"/proc/self/fd/{handle}".encode(), path.encode(), None, ctypes.c_ulong(BIND | REC), None))
    for name, most in COUNTED.items():
        if os.path.exists(path := f"/proc/sys/user/{name}"):
            _write(path, str(most))
    _write("/proc/self/oom_score_adj", "1000")  # whom the kernel ends first when the machine is out of memory
    _check(_libc.mount(b"/dev/null", b"/proc/cmdline", None, ctypes.c_ulong(BIND), None))  # the host's start options
    flags = REMOUNT | BIND | READ_ONLY | NOSUID | NODEV | NOEXEC
    _check(_libc.mount(None, b"/proc", None, ctypes.c_ulong(flags), None))  # nothing of that is taken back


def drop_privileges() -> None:
    """No capability is left, nor a way to get one."""
    _prctl(CAP_AMBIENT, AMBIENT_CLEAR_ALL)
    with open("/proc/sys/kernel/cap_last_cap") as file:
        last = int(file.read())
    for number in range(last + 1):
        _prctl(CAP_DROP, number)
    head = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    _check(_libc.capset(head, (ctypes.c_uint32 * 6)()))
    _prctl(SET_NO_NEW_PRIVS, 1)


def limit(rlimits: dict[str, int]) -> None:
    """The limits that all of this process's children inherit; RLIMIT_AS counts beyond what is there already."""
    with open("/proc/self/statm") as file:
        there = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    for name, value in rlimits.items():
        which = getattr(resource, name)
        hard = resource.getrlimit(which)[1]
        value += there if name == "RLIMIT_AS" else 0
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)  # the supervisor's own may be lower
        # At the hard limit of CPU time the kernel kills without a word; a second before, it says why.
        resource.setrlimit(which, (value - 1 if name == "RLIMIT_CPU" else value, value))


def install_filter(program: bytes) -> None:
    """Bind this process and all its children to a seccomp program (an array of struct sock_filter)."""

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))

    if program:
        _prctl(SET_SECCOMP, FILTER, ctypes.byref(Program(len(program) // 8, program)))


def close_to_others() -> None:
    """Nobody but the kernel's administrator may look into this process or take its descriptors."""
    _prctl(SET_DUMPABLE, 0)


def collapse_pages() -> None:
    """Put this process's memory into huge pages: copying a process costs by the page. Where it cannot be, it is not."""
    _libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    with open("/proc/self/maps") as file:
        lines = [line.split() for line in file]
    for span, rights, *_, name in (line if len(line) > 5 else [*line, ""] for line in lines):
        if rights == "rw-p" and name in ("", "[heap]"):
            start, end = (int(bound, 16) for bound in span.split("-"))
            for address in range(-(-start // HUGE) * HUGE, end // HUGE * HUGE, HUGE):
                _libc.madvise(address, HUGE, COLLAPSE)
