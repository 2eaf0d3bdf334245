"""Attacks on the supervisor: malformed answers, descriptors closed, flooded, swapped and passed on."""

from .case import Attack, Cell

SOCKETS = """
import array, io, os, socket, stat, struct, sys, threading, time, zlib
channels = []
for descriptor in range(3, 256):
    try:
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode): channels.append(descriptor)
    except OSError:
        pass
def send(data):
    for descriptor in channels:
        try:
            while data: data = data[os.write(descriptor, data):]
        except OSError:
            pass
def frame(head, *blobs):
    text = head if isinstance(head, bytes) else json.dumps(dict(head, blobs=[len(b) for b in blobs])).encode()
    return struct.pack('>II', len(text), sum(map(len, blobs))) + text + b''.join(blobs)
import json
def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
pixel = b'\\x89PNG\\r\\n\\x1a\\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', 1, 1, 8, 0, 0, 0, 0))
pixel += chunk(b'IDAT', zlib.compress(b'\\0\\xff')) + chunk(b'IEND', b'')
"""
STOPPED = ("killed", "timed_out")


def sends(name: str, aim: str, *frames: str, more: str = "", outcomes: tuple[str, ...] = STOPPED) -> Attack:
    """An attack of one cell for each of these frames (expressions)."""
    cells = tuple(Cell(SOCKETS + f"send({frame})\n{more}", outcomes, images=(0, 0)) for frame in frames)
    return Attack(name, aim, cells, profile="short")


ATTACKS = [
    sends(
        "garbage",
        "write garbage, half frames and frames that lie about their size on every socket",
        "b'garbage!' * 100",
        "b'\\xff' * 64",
        "b'\\0\\0'",
        "struct.pack('>II', 1 << 31, 1 << 31) + b'x' * 100000",
        "struct.pack('>II', 100, 0) + b'{}'",
        "struct.pack('>II', 2, 5) + b'{}'",
        more="while True: time.sleep(1)",
    ),
    sends(
        "hostile_json",
        "answers that break a parser: nesting, huge numbers, wrong kinds, wrong encodings, doubled keys",
        "frame(b'[' * 200_000)",
        "frame(b'{\"a\":' * 100_000)",
        "frame(b'{\"blobs\":[],\"id\":' + b'9' * 200_000 + b'}')",
        "frame(b'{\"blobs\":[-1, 1]}')",
        "frame(b'{\"blobs\":[true]}')",
        "frame(b'{\"blobs\":[1e308, NaN]}')",
        "frame(b'\\xff\\xfe\\x00')",
        'frame(b\'{"blobs":[],"blobs":[5]}\')',
        "frame(b'null')",
        'frame(b\'{"blobs":[],"outcome":{}, "id":[]}\')',
        more="while True: time.sleep(1)",
    ),
    Attack(
        "flood_of_frames",
        "send frames without end, and empty ones",
        (
            Cell(SOCKETS + "while True: send(bytes(8) * 8192)", STOPPED),
            Cell(SOCKETS + "while True: send(frame(b'{\"blobs\":[]}' ) * 4096)", STOPPED),
            Cell(SOCKETS + "send(struct.pack('>II', 1 << 20, 60 << 20))\nwhile True: send(b' ' * 65536)", STOPPED),
        ),
        profile="short",
        alone=True,
    ),
    Attack(
        "closed_descriptors",
        "close, shut down, cross over and replace every descriptor",
        (
            Cell("import os\nos.closerange(0, 1024)", STOPPED),
            Cell(
                SOCKETS
                + "for c in channels: socket.socket(fileno=os.dup(c)).shutdown(socket.SHUT_RDWR)\ntime.sleep(9)",
                STOPPED,
            ),
            Cell(
                SOCKETS + "for c in channels: os.dup2(os.open('/dev/zero', os.O_RDWR), c)", (*STOPPED, "out_of_memory")
            ),
            Cell(
                SOCKETS + "for c in channels: os.dup2(c, 1); os.dup2(c, 2)\nprint('x' * 5000)\ntime.sleep(9)", STOPPED
            ),
            Cell(SOCKETS + "for c in channels: os.set_blocking(c, False)\nos.set_blocking(1, False)", ("ok", *STOPPED)),
        ),
        profile="short",
        still_works=False,
    ),
    Attack(
        "passed_descriptors",
        "send open files to the supervisor with ancillary data, as many as the kernel lets through",
        (
            Cell(
                SOCKETS
                + """
pipes = [end for _ in range(60) for end in os.pipe()]
for descriptor in channels:
    channel = socket.socket(fileno=os.dup(descriptor))
    channel.setblocking(False)
    for _ in range(100):
        try:
            channel.sendmsg([b'\\0'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', pipes))])
        except OSError:
            break
time.sleep(0.2)
""",
                STOPPED,
            ),
        ),
        profile="short",
    ),
    Attack(
        "signals_by_descriptor",
        "have the kernel signal host processes when something comes in (F_SETOWN, SIOCSPGRP, leases)",
        (
            Cell(
                SOCKETS
                + """
import fcntl, signal
signal.signal(signal.SIGIO, signal.SIG_IGN)
signal.signal(signal.SIGURG, signal.SIG_IGN)
for descriptor in (0, 1, 2, *channels):
    for pid in host['pids']:
        for action in (lambda: fcntl.fcntl(descriptor, fcntl.F_SETOWN, pid), lambda: fcntl.fcntl(descriptor, 10, 9),
                       lambda: fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_ASYNC | os.O_RDWR),
                       lambda: fcntl.ioctl(descriptor, 0x8902, struct.pack('i', pid))):
            try:
                action()
            except OSError:
                pass
print('x')
""",
                ("ok", *STOPPED),
            ),
        ),
        profile="short",
        still_works=False,
    ),
    Attack(
        "patched_worker",
        "replace what the worker itself calls: json, io, ast, traceback, PIL's save, os.write, its own functions",
        (
            Cell(
                """
import ast, gc, io, json, os, sys, traceback, types
from PIL import Image
def forged(*_, **__): return b'forged'
frame = sys._getframe().f_back
while frame:
    for name, value in list(frame.f_globals.items()):
        if isinstance(value, types.FunctionType) and not name.startswith('__'): frame.f_globals[name] = forged
        if isinstance(value, type) and value.__module__ == frame.f_globals['__name__']:
            for method in list(vars(value)):
                if not method.startswith('__'): setattr(value, method, forged)
    frame = frame.f_back
json.dumps = json.loads = ast.Expression = traceback.TracebackException = Image.Image.save = forged
1/0
""",
                ("ok", "raised", *STOPPED, "out_of_memory"),
            ),
        ),
        profile="short",
        still_works=False,
    ),
    Attack(
        "worker_in_pieces",
        "take the worker's modules, frames and limits apart, so that its answer fails in new places",
        (
            Cell("import sys\nsys.modules.clear()", ("ok", "raised", *STOPPED)),
            Cell("import sys\nsys.setrecursionlimit(30)\n[[[1]]]", ("ok", "raised", *STOPPED)),
            Cell(
                "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 20, 1 << 20))\n'x' * 9",
                ("ok", "raised", "out_of_memory", *STOPPED),
            ),
            Cell("import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))\n1", ("ok", "raised", *STOPPED)),
            Cell(
                "import gc\nfor x in gc.get_objects():\n    if type(x) is dict and 'channel' in x: x.clear()\n1",
                ("ok", "raised", *STOPPED),
            ),
        ),
        profile="short",
        still_works=False,
    ),
]
