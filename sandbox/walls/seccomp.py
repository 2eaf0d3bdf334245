"""A seccomp filter for the sandbox: it closes what namespaces and rlimits leave open.

Refused are memory that no limit counts (memfd, System V shared memory), new namespaces and mounts, tracing, watching
and locking the host's files, kernel interfaces that ordinary programs do without, and every socket family but unix,
IPv4 and IPv6 (a network namespace does not hold back AF_VSOCK, which reaches a virtual machine's host).

The program is classic BPF over `struct seccomp_data` (nr at offset 0, arch at 4, arguments of 8 bytes from 16).
Syscall numbers: linux/arch/x86/entry/syscalls/syscall_64.tbl and linux/include/uapi/asm-generic/unistd.h.
"""

import errno
import platform
import struct

LOAD = 0x20
"""The BPF instruction that loads four bytes of the call's data."""
JUMP_EQUAL = 0x15
"""The BPF instruction that jumps if the loaded number equals a constant."""
JUMP_GREATER_EQUAL = 0x35
"""The BPF instruction that jumps if the loaded number is at least a constant."""
JUMP_SET = 0x45
"""The BPF instruction that jumps if the loaded number has bits of a constant."""
RETURN = 0x06
"""The BPF instruction that ends the filter with a verdict."""
ALLOW = 0x7FFF0000
"""The verdict that lets the call through."""
KILL = 0x80000000
"""The verdict that ends the process."""
ERRNO = 0x00050000
"""The verdict that fails the call with the error in its low bits."""
NEW_NAMESPACES = 0x7E020080
"""The flags of clone for new namespaces: CLONE_NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""
FAMILIES = (1, 2, 10)
"""The socket families that are allowed: AF_UNIX, AF_INET, AF_INET6."""

ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""The machines that the filter knows: AUDIT_ARCH_* and the column in the tables below."""
REFUSED = {
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    # What others open, and locks that others meet: the files that are shown are the host's own.
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "flock": (73, 32),
    # What the whole machine has once: its asynchronous I/O contexts, its disks.
    "io_setup": (206, 0),
    "sync": (162, 81),
    "syncfs": (306, 267),
    "syslog": (103, 116),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
}
"""The system calls that fail with EPERM, with their numbers on the two machines."""
ABSENT = {
    "clone3": (435, 435),  # its flags lie in memory, out of a filter's sight; libc falls back to clone
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
}
"""The system calls that fail with ENOSYS, as if the kernel did not have them."""
CLONE = (56, 220)
"""The system call that is refused with flags for new namespaces."""
SOCKET = (41, 198)
"""The system call that is refused for other socket families."""
SOCKETPAIR = (53, 199)
"""The system call that is refused for other socket families, too."""
FCNTL = (72, 25)
"""The system call that is refused for leases and notices of files."""
SETRLIMIT = (160, 164)
"""The system call that is refused for the size of core dumps."""
PRLIMIT = (302, 261)
"""The system call that is refused when it sets the size of core dumps."""
F_SETLEASE = 1024
"""The command of fcntl that takes a lease on a file."""
F_NOTIFY = 1026
"""The command of fcntl that watches a folder."""
RLIMIT_CORE = 4
"""The resource whose limit is the size of core dumps."""
UNKNOWN = 470
"""The first number of system calls that are newer than this list."""
FIRST_ARGUMENT = 16
"""The offset of a call's first argument in its data."""
SECOND_ARGUMENT = 24
"""The offset of a call's second argument in its data."""
THIRD_ARGUMENT = 32
"""The offset of a call's third argument in its data."""


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


def _refuse(error: int) -> bytes:
    return _line(RETURN, ERRNO | error)


def program(machine: str | None = None) -> bytes:
    """The compiled filter for a machine name as `platform.machine()` gives it; this machine by default.

    Raises:
        KeyError: no syscall table is known for that machine.
    """
    architecture, column = ARCHITECTURES[machine or platform.machine()]
    lines = [_line(LOAD, 4), _line(JUMP_EQUAL, architecture, 1, 0), _line(RETURN, KILL), _line(LOAD, 0)]
    if column == 0:  # the x32 numbers would go round the table
        lines += [_line(JUMP_GREATER_EQUAL, 0x40000000, 0, 1), _refuse(errno.ENOSYS)]
    for table, error in ((REFUSED, errno.EPERM), (ABSENT, errno.ENOSYS)):
        for numbers in table.values():
            if numbers[column] is None:  # this machine never had it
                continue
            lines += [_line(JUMP_EQUAL, numbers[column], 0, 1), _refuse(error)]
    lines += [_line(JUMP_GREATER_EQUAL, UNKNOWN, 0, 1), _refuse(errno.ENOSYS)]
    lines += [_line(JUMP_EQUAL, CLONE[column], 0, 4), _line(LOAD, FIRST_ARGUMENT)]
    lines += [_line(JUMP_SET, NEW_NAMESPACES, 0, 1), _refuse(errno.EPERM), _line(RETURN, ALLOW)]
    for call, offset, values in (
        (FCNTL, SECOND_ARGUMENT, (F_SETLEASE, F_NOTIFY)),
        (SETRLIMIT, FIRST_ARGUMENT, (RLIMIT_CORE,)),
    ):
        lines += [_line(JUMP_EQUAL, call[column], 0, len(values) + 3), _line(LOAD, offset)]
        lines += [_line(JUMP_EQUAL, value, len(values) - i, 0) for i, value in enumerate(values)]
        lines += [_line(RETURN, ALLOW), _refuse(errno.EPERM)]
    # It also only reads: then its third argument, a pointer, is null.
    lines += [_line(JUMP_EQUAL, PRLIMIT[column], 0, 8), _line(LOAD, SECOND_ARGUMENT)]
    lines += [_line(JUMP_EQUAL, RLIMIT_CORE, 0, 4), _line(LOAD, THIRD_ARGUMENT), _line(JUMP_EQUAL, 0, 0, 3)]
    lines += [_line(LOAD, THIRD_ARGUMENT + 4), _line(JUMP_EQUAL, 0, 0, 1), _line(RETURN, ALLOW), _refuse(errno.EPERM)]
    for call in (SOCKET, SOCKETPAIR):
        lines += [_line(JUMP_EQUAL, call[column], 0, len(FAMILIES) + 3), _line(LOAD, FIRST_ARGUMENT)]
        lines += [_line(JUMP_EQUAL, family, len(FAMILIES) - i, 0) for i, family in enumerate(FAMILIES)]
        lines += [_refuse(errno.EAFNOSUPPORT), _line(RETURN, ALLOW)]
    lines += [_line(RETURN, ALLOW)]
    return b"".join(lines)
