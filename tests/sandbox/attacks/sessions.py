"""Attacks on another session that is open at the same time: reach it, see it, slow it, stop it."""

from .case import Attack, Cell, refused

NEIGHBOUR = """
import os
kept = 41
os.getpid()
"""
STILL_THERE = Cell("print(kept + 1)", stdout="42\n", neighbour=True)

ATTACKS = [
    Attack(
        "neighbour_sockets",
        "meet another session over loopback TCP, UDP and abstract sockets",
        (
            Cell(
                """
import socket, threading
got = []
servers = [socket.socket(socket.AF_INET), socket.socket(socket.AF_UNIX)]
for server, address in zip(servers, [('0.0.0.0', 40001), '\\0' + 'meeting']):
    server.bind(address)
    server.listen()
    threading.Thread(target=lambda server=server: got.append(server.accept()), daemon=True).start()
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(('0.0.0.0', 40002))
datagrams.settimeout(0.2)
""",
            ),
            Cell(
                """
import socket
for family, address in ((socket.AF_INET, ('127.0.0.1', 40001)), (socket.AF_UNIX, '\\0meeting')):
    with socket.socket(family) as channel:
        channel.settimeout(0.5)
        print(channel.connect_ex(address) != 0)
try:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 40002))
except OSError:  # its loopback may be down
    pass
""",
                stdout="True\nTrue\n",
                neighbour=True,
            ),
            Cell("print(got)\ndatagrams.recv(10)", ("raised",), stdout=r"\[\]\n", error="TimeoutError"),
        ),
        neighbour=True,
    ),
    Attack(
        "neighbour_files",
        "leave files for another session in every writable folder",
        (
            Cell(
                """
for folder in ('/tmp', '/dev/shm', '.', os.path.expanduser('~')):
    with open(f'{folder}/left', 'w') as file:
        file.write('x')
os.mkfifo('/tmp/pipe')
""",
                value="",
            ),
            Cell(
                """
import os
print([f'{folder}/{name}' for folder in ('/tmp', '/dev/shm', '.', '/var/tmp')
       for name in (os.listdir(folder) if os.path.isdir(folder) else []) if name in ('left', 'pipe')])
""",
                stdout=r"\[\]\n",
                neighbour=True,
            ),
        ),
        neighbour=True,
    ),
    Attack(
        "neighbour_memory",
        "share memory, semaphores and queues: POSIX and System V, also with the host",
        (
            Cell(
                """
from multiprocessing import shared_memory
kept = shared_memory.SharedMemory('meeting', create=True, size=4096)
attempt('sysv', syscall, 'shmget', host['ipc'], 4096, 0o666)
attempt('new', syscall, 'shmget', 77, 4096, 0o1666)
attempt('semaphore', syscall, 'semget', host['ipc'], 1, 0o666)
attempt('messages', syscall, 'msgget', host['ipc'], 0o1666)
print(open('/proc/sysvipc/shm').read().count('\\n') if os.path.exists('/proc/sysvipc/shm') else 1)
""",
                stdout=refused("sysv new semaphore messages") + "1\n",
            ),
            Cell(
                """
from multiprocessing import shared_memory
shared_memory.SharedMemory('meeting')
""",
                ("raised",),
                error="FileNotFoundError",
                neighbour=True,
            ),
        ),
        neighbour=True,
    ),
    Attack(
        "neighbour_remnants",
        "search one's own memory for the files that another session was given",
        (
            Cell("print(len(open('private.csv').read()))", stdout=r"\d+\n", neighbour=True),
            Cell(
                """
import re
found, seen = set(), 0
with open('/proc/self/maps') as maps, open('/proc/self/mem', 'rb', 0) as memory:
    for line in maps:
        span, rights, _, device, *_ = line.split()
        start, end = (int(bound, 16) for bound in span.split('-'))
        if 'r' in rights and device == '00:00' and '[v' not in line:
            for at in range(start, end, 8 << 20):
                memory.seek(at)
                try:
                    data = memory.read(min(8 << 20, end - at))
                except OSError:
                    break
                seen += len(data)
                found.update(re.findall(rb'PRIVATE-OF-THE-NEIGHBOUR-\\d{9}', data))
print(seen > 1 << 20, found)
""",
                stdout=r"True set\(\)\n",
            ),
        ),
        neighbour=True,
        files={"private.csv": b"PRIVATE-OF-THE-NEIGHBOUR-123456789\n" * 2000},
    ),
    Attack(
        "signal_everything",
        "signal every process there is: kill(-1), the own group, all process ids, host processes, the parent",
        (
            Cell(NEIGHBOUR, neighbour=True, value=r"\d+"),
            Cell(
                """
import signal
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
for pid in (*host['pids'], *(-pid for pid in host['pids'])):
    attempt('kill', os.kill, pid, signal.SIGTERM)
    attempt('stop', os.kill, pid, signal.SIGSTOP)
    attempt('handle', syscall, 'pidfd_open', abs(pid), 0)
    attempt('queue', syscall, 'rt_sigqueueinfo', abs(pid), signal.SIGUSR1, ctypes.create_string_buffer(128))
reached = 0
for pid in range(2, 40000):
    if pid != os.getpid():
        try:
            os.kill(pid, signal.SIGKILL)
            reached += 1
        except OSError:
            pass
print('reached', reached)
attempt('all', os.kill, -1, signal.SIGTERM)
try:
    os.killpg(0, signal.SIGTERM)
except OSError:
    pass
""",
                stdout=r"((kill|stop|handle|queue) refused \w+\n)+reached 0\nall refused ESRCH\n",
            ),
            STILL_THERE,
        ),
        neighbour=True,
    ),
    Attack(
        "kill_the_first_process",
        "end, stop or interrupt the first process of its namespace, its parent",
        (
            Cell(NEIGHBOUR, neighbour=True, value=r"\d+"),
            Cell(
                """
import signal
for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGSEGV, signal.SIGINT, signal.SIGINT):
    for pid in {1, os.getppid()}:
        try:
            os.kill(pid, number)
        except OSError:
            pass
    time.sleep(0.05)
""",
                ("ok", "killed"),
            ),
            STILL_THERE,
        ),
        neighbour=True,
    ),
]
