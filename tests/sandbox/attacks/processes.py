"""Attacks by processes and threads that go on: after the cell, after the call, after the session."""

from .case import Attack, Cell

DAEMON = """
import sys
line = [sys.executable, '-S', '-c', '''import signal, time
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
time.sleep(600)''', host['marker']]
subprocess.Popen([sys.executable, '-S', '-c', 'import subprocess, sys; '
    'subprocess.Popen(sys.argv[1:], start_new_session=True)', *line]).wait()
"""

ATTACKS = [
    Attack(
        "daemon",
        "outlive the session: a new session, two forks, all signals ignored",
        (Cell(DAEMON, pause_s=0.1),),
    ),
    Attack(
        "daemon_of_a_stopped_call",
        "outlive a call that is stopped by the clock",
        (Cell(DAEMON + "time.sleep(60)", ("timed_out",)),),
        profile="short",
    ),
    Attack(
        "adopt_the_orphans",
        "take the place of the first process for its children, and let it die",
        (
            Cell(
                """
syscall('prctl', 36, 1, 0, 0, 0)
syscall('prctl', 1, 0, 0, 0, 0)
for _ in range(5):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0: time.sleep(600)
        os._exit(0)
print(os.getpid() > 1)
""",
                stdout="True\n",
            ),
        ),
    ),
    Attack(
        "stop_oneself",
        "stop instead of ending, so that nobody can be waited for",
        (Cell("import signal\nos.kill(os.getpid(), signal.SIGSTOP)", ("timed_out",)),),
        profile="short",
    ),
    Attack(
        "leave_at_once",
        "end the interpreter: exit, abort, a signal, a fault in memory",
        (
            Cell("import os\nos._exit(0)", ("killed",), error="exit status 0|ended"),
            Cell("import os\nos._exit(152)", ("killed",), error="exit status 152|ended"),
            Cell("import os\nos.kill(os.getpid(), 24)", ("killed",), error="signal 24|ended"),
            Cell("import os\nos._exit(3)", ("killed",), error="exit status 3|ended"),
            Cell("import os\nos.kill(os.getpid(), 9)", ("killed",), error="signal 9|ended"),
            Cell("import ctypes\nctypes.string_at(1)", ("killed",), error="signal 11|ended"),
            Cell("import os, time\n[os.kill(os.getppid(), 9), time.sleep(0.1)];", ("ok", "killed")),
        ),
        still_works=False,
    ),
    Attack(
        "another_program",
        "become another program in place of the worker, with its descriptors",
        (
            Cell(
                "os.execv('/bin/sh', ['sh', '-c', 'for n in 3 4 5 6 7; do echo garbage >&$n; done; sleep 30'])",
                ("killed", "timed_out"),
            ),
            Cell(
                "import os\nfor n in map(int, os.listdir('/proc/self/fd')):\n"
                "    if n > 2 and os.path.exists(f'/proc/self/fd/{n}'): os.set_inheritable(n, True)\n"
                "os.execv('/bin/sh', ['sh', '-c', 'for n in 3 4 5 6 7; do echo garbage >&$n; done; sleep 30'])",
                ("killed", "timed_out"),
            ),
        ),
        profile="short",
    ),
    Attack(
        "hostile_names",
        "names of processes and threads that break whoever reads them: no UTF-8, brackets, new lines",
        (
            Cell(
                """
import threading
names = (b'\\xff\\xfe) S 1 (', b') R 0 0 0\\n1 (', b'\\n\\n\\n', b'', b'((((((', b'))))))', b'bwrap', b'python')
for name in names:
    if os.fork() == 0:
        libc.prctl(15, name, 0, 0, 0)
        time.sleep(9)
        os._exit(0)
def sleep(name):
    libc.prctl(15, name, 0, 0, 0)
    time.sleep(1)
for name in names: threading.Thread(target=sleep, args=(name,), daemon=True).start()
libc.prctl(15, names[0], 0, 0, 0)
time.sleep(0.5)
print('there')
""",
                stdout="there\n",
            ),
            Cell("time.sleep(0.3)\n8", value="8"),
        ),
    ),
    Attack(
        "threads_go_on",
        "let a thread go on after the cell: it prints, changes names and ends the interpreter between two cells",
        (
            Cell(
                """
import threading
def later():
    time.sleep(0.2)
    print('from behind')
    globals()['print'] = None
    time.sleep(0.2)
    os._exit(7)
threading.Thread(target=later).start()
""",
                pause_s=0.7,
            ),
            Cell("1/0", ("killed", "raised")),
        ),
        still_works=False,
    ),
    Attack(
        "signals_between_cells",
        "let alarms and handlers strike while the worker waits or answers",
        (
            Cell(
                """
import signal
def strike(*_): raise KeyboardInterrupt('between')
for number in (signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF):
    signal.signal(number, strike)
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.01)
time.sleep(0.01)
""",
                ("ok", "raised", "killed"),
                pause_s=0.4,
            ),
            Cell("1 + 2", ("ok", "raised", "killed"), value="3?"),
        ),
        still_works=False,
    ),
    Attack(
        "hooks_at_the_end",
        "run code at exit, at a fork, in finalizers, in the collector, in traces and profiles",
        (
            Cell(
                """
import atexit, gc, signal, threading, weakref
def hook(*_, **__):
    try:
        os.mknod('/tmp/' + host['marker'])
    except OSError:
        pass
    raise RuntimeError('hooked')
atexit.register(hook)
os.register_at_fork(before=hook, after_in_child=hook, after_in_parent=hook)
gc.callbacks.append(hook)
class Ends:
    __del__ = hook
ends = Ends()
weakref.finalize(ends, hook)
sys.unraisablehook = sys.excepthook = threading.excepthook = hook
sys.setprofile(hook)
threading.setprofile(hook)
""",
                ("ok", "raised", "killed"),
            ),
        ),
        still_works=False,
    ),
    Attack(
        "trace_the_worker",
        "trace the worker's own functions and raise in the midst of its answer",
        (
            Cell(
                """
def trace(frame, event, _):
    if 'cell' not in frame.f_code.co_filename and event in ('line', 'return'):
        raise MemoryError('in your answer')
    return trace
frame = sys._getframe()
while frame:
    frame.f_trace = trace
    frame = frame.f_back
sys.settrace(trace)
""",
                ("ok", "raised", "killed", "out_of_memory"),
            ),
        ),
        still_works=False,
    ),
    Attack(
        "fork_and_answer",
        "let parent and child both come to the end of the cell, and the child go on alone",
        (
            Cell("pid = os.fork()\nif pid: os.waitpid(pid, 0)\nprint('end')", stdout="end\nend\n"),
            Cell("import os\nif os.fork(): os._exit(0)\nprint('the child')", ("killed",), value=""),
        ),
    ),
]
