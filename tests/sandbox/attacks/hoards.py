"""Attacks by using up what lies outside of processes: files, descriptors, buffers and objects of the kernel.

Like those of exhaustion.py they end by themselves, and the host's memory is watched.
"""

from .case import Attack, Cell

ATTACKS = [
    Attack(
        "disk",
        "fill every writable folder, with long and with sparse files",
        (
            Cell(
                """
total = 0
for folder in ('/tmp', '/dev/shm'):
    for number in range(40):
        try:
            with open(f'{folder}/{number}', 'wb') as file:
                for _ in range(512):
                    total += file.write(bytes(1 << 20))
        except OSError:
            pass
try:
    os.truncate('/tmp/0', 1 << 40)
    print('DONE')
except OSError:
    pass
print(total < 200 << 20)
""",
                ("ok", "killed", "out_of_memory"),
                stdout="(True\n)?",
            ),
        ),
        alone=True,
    ),
    Attack(
        "inodes",
        "make empty files, folders and links without end: memory of the kernel",
        (
            Cell(
                """
made = 0
try:
    for number in range(600_000):
        os.mknod(f'/tmp/{number}')
        made += 1
except OSError as error:
    print(errno.errorcode[error.errno])
print(made < 100_000)
""",
                stdout="ENOSPC\nTrue\n",
            ),
        ),
        alone=True,
        still_works=False,
    ),
    Attack(
        "descriptors_bomb",
        "open files without end, in many processes",
        (
            Cell(
                """
for _ in range(5):
    if os.fork() == 0: break
kept = []
try:
    for _ in range(100_000): kept.append(open('/dev/null'))
except OSError as error:
    os.write(1, errno.errorcode[error.errno].encode() + b'\\n')
kept.clear()
""",
                stdout="(EMFILE\n)+",
            ),
        ),
        alone=True,
    ),
    Attack(
        "pipes",
        "fill pipes of the largest size",
        (
            Cell(
                """
import fcntl
total, kept = 0, []
try:
    for _ in range(4000):
        ends = os.pipe()
        kept.append(ends)
        os.set_blocking(ends[1], False)
        try:
            fcntl.fcntl(ends[1], 1031, 1 << 20)
        except OSError:
            pass
        try:
            while True: total += os.write(ends[1], bytes(65536))
        except BlockingIOError:
            pass
except OSError as error:
    print(errno.errorcode[error.errno], total < 256 << 20)
""",
                stdout=r"\w+ True\n",
            ),
        ),
        alone=True,
    ),
    Attack(
        "socket_buffers",
        "fill the buffers of many sockets in many processes: memory of the kernel that belongs to no process",
        (
            Cell(
                """
import socket
for _ in range(20):
    if os.fork() == 0: break
kept = []
try:
    for _ in range(120):
        pair = socket.socketpair()
        kept.append(pair)
        for end in pair:
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 24)
            try:
                while True: end.send(bytes(100_000))
            except BlockingIOError:
                pass
except OSError:
    pass
time.sleep(30)
""",
                ("ok", "killed", "out_of_memory", "raised", "timed_out"),
            ),
        ),
        profile="short",
        alone=True,
    ),
    Attack(
        "sockets_in_sockets",
        "keep open files in flight between sockets, beyond the limit of open files",
        (
            Cell(
                """
import array, socket
kept = []
try:
    for _ in range(200):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        for _ in range(20):
            ours.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [theirs.fileno()] * 250))])
        kept.append(theirs)
except OSError as error:
    print(errno.errorcode[error.errno])
""",
                stdout="(ETOOMANYREFS|EAGAIN|EMFILE|EPERM)\n",
            ),
        ),
        alone=True,
    ),
    Attack(
        "charges_left_behind",
        "leave memory to nobody, in sockets that hold each other, so that the next session has less",
        (
            Cell(
                """
import array, socket
for _ in range(1000):
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    try:
        both = array.array('i', [ours.fileno(), theirs.fileno()])
        for end in (ours, theirs):
            end.setblocking(False)
            end.sendmsg([bytes(100_000)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, both)])
    except OSError as error:
        print(errno.errorcode[error.errno])
        break
    ours.close(), theirs.close()
""",
                ("ok", "out_of_memory", "killed"),
            ),
        ),
        alone=True,
        still_works=False,
    ),
    Attack(
        "kernel_objects",
        "watches, timers, queued signals, file locks, event polls, message queues without end",
        (
            Cell(
                """
import fcntl, select, signal
counts = {}
def fill(name, action, most=20_000):
    for number in range(most):
        try:
            action(number)
        except OSError as error:
            counts[name] = number
            return
    counts[name] = most
def watch(_):
    if libc.inotify_init1(0) < 0: raise OSError
def timer(_):
    syscall('timer_create', 1, None, ctypes.byref(ctypes.c_int()))
def queue(_):
    info = (ctypes.c_int * 32)(signal.SIGRTMIN, 0, -1)
    syscall('rt_sigqueueinfo', os.getpid(), signal.SIGRTMIN, info)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
fill('watches', watch)
fill('timers', timer)
fill('signals', queue)
file = open('/tmp/locked', 'w')
fill('locks', lambda number: fcntl.lockf(file, fcntl.LOCK_EX, 1, 2 * number))
kept = []
fill('polls', lambda _: kept.append(select.epoll()))
fill('queues', lambda number: syscall('mq_open', b'q%d' % number, os.O_CREAT | os.O_RDWR, 0o600, None))
kept.clear()
print(counts['watches'] < 1000, counts['polls'] < 5000, counts['queues'] == 0)
""",
                stdout="True True True\n",
            ),
        ),
        alone=True,
    ),
]
