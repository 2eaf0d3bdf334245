"""Attacks through what sessions share with each other and with the host: files that all may read, counters of the
kernel, the machine's bad luck."""

from .case import Attack, Cell, refused
from .sessions import NEIGHBOUR

ATTACKS = [
    Attack(
        "starve_the_neighbour",
        "use up what the kernel counts by user: processes, pending signals, pipes, watches, descriptors in flight",
        (
            Cell(NEIGHBOUR, neighbour=True, value=r"\d+"),
            Cell(
                """
import array, signal, socket
kept = []
def fill(action, most):
    for _ in range(most):
        try:
            kept.append(action())
        except OSError:
            return
ours, theirs = socket.socketpair()
ours.setblocking(False)
def in_flight():
    ours.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [1] * 100))])
fill(in_flight, 300)
fill(lambda: libc.inotify_init1(0) + 1 or (_ for _ in ()).throw(OSError()), 60)
def pipe():
    import fcntl
    ends = os.pipe()
    fcntl.fcntl(ends[0], 1031, 1 << 20)
    return ends
fill(pipe, 60)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
information = (ctypes.c_int * 32)(signal.SIGRTMIN, 0, -1)
fill(lambda: syscall('rt_sigqueueinfo', os.getpid(), signal.SIGRTMIN, information), 150_000)
def sleeper():
    pid = os.fork()
    if pid == 0:
        time.sleep(5)
        os._exit(0)
    return pid
fill(sleeper, 60)
print(len(kept) > 10)
""",
                stdout="True\n",
            ),
            Cell(
                """
import os, subprocess, threading
threads = [threading.Thread(target=lambda: None) for _ in range(8)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
pipes = [os.pipe() for _ in range(20)]
import ctypes
timer = ctypes.CDLL(None).timer_create(1, None, ctypes.byref(ctypes.c_void_p()))
print(subprocess.run(['echo', 'fine'], capture_output=True).stdout, os.write(pipes[0][1], bytes(4096)), kept, timer)
""",
                stdout=r"b'fine\\n' 4096 41 0\n",
                neighbour=True,
            ),
        ),
        neighbour=True,
    ),
    Attack(
        "borrowed_fault",
        "look like a victim of the machine: end like a killed process, after another session ran out of memory",
        (
            Cell(
                "kept = []\nfor _ in range(400): kept.append(b'x' * (8 << 20))",
                ("out_of_memory", "killed"),
                neighbour=True,
            ),
            Cell(
                "import os\nif os.fork() == 0:\n    kept = b'x' * (300 << 20), b'x' * (300 << 20)\nos.wait()",
                ("out_of_memory", "killed", "raised", "ok"),
                neighbour=True,
            ),
            Cell("os.kill(os.getpid(), 9)", ("killed",)),
            Cell("import os\nos._exit(137)", ("killed",)),
            Cell("import os\nos._exit(255)", ("killed",)),
        ),
        neighbour=True,
    ),
    Attack(
        "watch_shared_files",
        "see what others open: inotify on files that all sessions and the host read",
        (
            Cell(
                """
watch = libc.inotify_init1(os.O_NONBLOCK)
watched = [libc.inotify_add_watch(watch, path.encode(), 0xFFF) for path in
           (os.__file__, '/bin/sh', '/usr/bin/env', '/lib', '/usr/lib', '/tmp', '/dev/shm', '/dev/null', '/')]
""",
            ),
            Cell(
                "import os, subprocess\nopen(os.__file__).read(10); subprocess.run(['/usr/bin/env']);\n"
                "open('/dev/null', 'w').write('x'); open('/tmp/x', 'w').close()",
                neighbour=True,
            ),
            Cell(
                """
try:
    print('seen', os.read(watch, 4096))
except OSError:
    print('nothing seen')
""",
                stdout="nothing seen\n",
            ),
        ),
        neighbour=True,
    ),
    Attack(
        "watch_shared_folders",
        "the same by the older way: a signal for what is opened in a folder (F_NOTIFY)",
        (
            Cell(
                """
import fcntl, signal
seen = []
signal.signal(signal.SIGRTMIN, lambda number, frame: seen.append(number))
for path in (os.path.dirname(os.__file__), '/usr/bin', '/usr/lib', '/dev', '/'):
    try:
        folder = os.open(path, os.O_RDONLY)
        fcntl.fcntl(folder, 10, signal.SIGRTMIN)
        fcntl.fcntl(folder, 1026, 0x8000003F)
    except OSError:
        pass
""",
            ),
            Cell(
                "import os\nopen(os.__file__).read(10), open('/usr/bin/env', 'rb').read(10)\n"
                "open('/dev/null', 'w').write('x')",
                neighbour=True,
            ),
            Cell("time.sleep(0.05)\nprint(len(seen))", stdout="0\n"),
        ),
        neighbour=True,
    ),
    Attack(
        "lock_shared_files",
        "talk to another session, or stop the host, by locks and leases on files that all may read",
        (
            Cell(
                """
import fcntl
kept = []
for path in (os.__file__, '/bin/sh', '/usr/bin/env', '/usr/lib', '/dev/null', '/dev/zero'):
    for lock in (lambda f: fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB),
                 lambda f: fcntl.fcntl(f, fcntl.F_SETLEASE, fcntl.F_RDLCK),
                 lambda f: fcntl.lockf(f, fcntl.LOCK_SH | fcntl.LOCK_NB)):
        try:
            kept.append(os.open(path, os.O_RDONLY))
            lock(kept[-1])
        except OSError:
            pass
""",
            ),
            Cell(
                """
import fcntl, os
for path in (os.__file__, '/bin/sh', '/usr/bin/env', '/usr/lib', '/dev/null', '/dev/zero'):
    try:
        fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print('locked by the other', path)
    except OSError:
        pass
""",
                stdout="",
                neighbour=True,
            ),
        ),
        neighbour=True,
    ),
    Attack(
        "shared_counters",
        "use up what the whole machine has once (asynchronous I/O contexts), and make it write its disks",
        (
            Cell(
                """
for number in range(3):
    attempt('contexts', syscall, 'io_setup', 30_000, ctypes.byref(ctypes.c_void_p()))
attempt('sync', syscall, 'sync')
attempt('syncfs', syscall, 'syncfs', os.open('/usr', os.O_RDONLY))
""",
                stdout=refused("contexts contexts contexts sync syncfs"),
            ),
        ),
    ),
]
