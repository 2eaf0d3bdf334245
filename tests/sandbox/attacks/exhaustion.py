"""Attacks by using up processes and memory in all its forms.

Every bomb has an end of its own, far beyond the limits, so that a hole in the walls is a failed test and not a machine
that is gone. The host's memory is watched meanwhile.
"""

from .case import Attack, Cell, refused

ATTACKS = [
    Attack(
        "fork_bomb",
        "fork without end",
        (
            Cell(
                """
children = 0
for _ in range(3000):
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
""",
                ("raised", "killed"),
                error="BlockingIOError|processes",
            ),
        ),
        alone=True,
    ),
    Attack(
        "fork_bomb_doubling",
        "every process forks again and again",
        (
            Cell(
                """
end = time.time() + 8
while time.time() < end:
    try:
        os.fork()
    except OSError:
        pass
""",
                ("killed", "timed_out"),
            ),
        ),
        profile="short",
        alone=True,
    ),
    Attack(
        "spawn_bomb",
        "start programs without end (vfork and exec)",
        (
            Cell(
                "kept = [subprocess.Popen(['/bin/sleep', '60']) for _ in range(3000)]",
                ("raised", "killed"),
                error="BlockingIOError|processes",
            ),
        ),
        alone=True,
    ),
    Attack(
        "thread_bomb",
        "start threads without end",
        (
            Cell(
                "import threading\nfor _ in range(5000): "
                "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
                ("raised", "killed"),
                error="can't start new thread|processes",
            ),
        ),
        alone=True,
    ),
    Attack(
        "memory_of_one",
        "take memory until there is none",
        (
            Cell(
                "kept = []\nfor _ in range(400): kept.append(b'x' * (8 << 20))",
                ("out_of_memory", "killed"),
            ),
        ),
        alone=True,
    ),
    Attack(
        "memory_of_many",
        "take memory in many processes, each below the limit of one",
        (
            Cell(
                """
for _ in range(12):
    if os.fork() == 0:
        break
kept = b'x' * (200 << 20)
time.sleep(20)
""",
                ("out_of_memory", "killed"),
            ),
        ),
        alone=True,
    ),
    Attack(
        "memory_shared",
        "shared anonymous memory of many processes, which counts as nobody's own",
        (
            Cell(
                """
import mmap
for _ in range(10):
    if os.fork() == 0:
        break
kept = mmap.mmap(-1, 200 << 20)
for at in range(0, len(kept), 4096):
    kept[at] = 1
time.sleep(20)
""",
                ("out_of_memory", "killed"),
            ),
        ),
        alone=True,
    ),
    Attack(
        "memory_orphaned",
        "shared memory kept by nobody that lives long: each process fills a mapping, hands it on and ends",
        (
            Cell(
                """
import mmap
for number in range(14):
    kept = mmap.mmap(-1, 150 << 20)
    for at in range(0, len(kept), 4096):
        kept[at] = 1
    if os.fork():
        time.sleep(30)
time.sleep(20)
""",
                ("out_of_memory", "killed", "raised"),
            ),
        ),
        alone=True,
    ),
    Attack(
        "memory_locked",
        "lock memory, use huge pages, secret memory and unnamed files",
        (
            Cell(
                """
import mmap
attempt('mlockall', syscall, 'mlockall', 3)
buffer = mmap.mmap(-1, 64 << 20)
def lock():
    if libc.mlock(ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(buffer))), 64 << 20):
        raise OSError(ctypes.get_errno(), 'mlock')
attempt('mlock', lock)
attempt('huge', mmap.mmap, -1, 64 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)
attempt('memfd', syscall, 'memfd_create', b'x', 0)
attempt('secret', syscall, 'memfd_secret', 0)
""",
                stdout=refused("mlockall mlock huge memfd secret"),
            ),
        ),
        alone=True,
    ),
    Attack(
        "address_space",
        "reserve all addresses and touch them thinly, so that page tables grow",
        (
            Cell(
                """
import mmap
kept = []
for _ in range(4000):
    kept.append(mmap.mmap(-1, 1 << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_NORESERVE))
    for at in range(0, 1 << 30, 2 << 20):
        kept[-1][at] = 1
""",
                ("raised", "out_of_memory", "killed"),
            ),
        ),
        alone=True,
    ),
]
