"""Attacks by code that takes for ever or breaks the interpreter: endless loops, regular expressions, deep nesting."""

from .case import Attack, Cell

STOPPED = ("raised", "killed", "timed_out", "out_of_memory")

ATTACKS = [
    Attack(
        "cpu_of_all",
        "keep every processor busy with many processes",
        (Cell("for _ in range(4): os.fork()\nwhile True: pass", ("timed_out", "killed")),),
        profile="short",
        alone=True,
    ),
    Attack(
        "sleep_for_ever",
        "never come back, and ignore every signal",
        (
            Cell(
                """
import signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
while True: time.sleep(1000)
""",
                ("timed_out",),
            ),
        ),
        profile="short",
    ),
    Attack(
        "busy_ignoring_signals",
        "compute on after SIGXCPU, SIGTERM and SIGALRM",
        (
            Cell(
                "import signal\nfor n in (signal.SIGXCPU, signal.SIGTERM, signal.SIGALRM, signal.SIGINT): "
                "signal.signal(n, signal.SIG_IGN)\nwhile True:\n    try:\n        while True: pass\n"
                "    except BaseException: pass",
                ("timed_out",),
            ),
        ),
        profile="short",
    ),
    Attack(
        "regex_bomb",
        "a regular expression that takes for ever, within one call that holds the interpreter",
        (Cell("import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')", ("timed_out",)),),
        profile="short",
    ),
    Attack(
        "number_bomb",
        "a power that takes for ever, and a number too long to print",
        (
            Cell("x = 7 ** (1 << 16)\nx", ("raised",), error="ValueError: Exceeds the limit"),
            Cell("x = 7 ** 7 ** 12", ("timed_out", "out_of_memory")),
        ),
        profile="short",
    ),
    Attack(
        "recursion",
        "recursion without end, in Python and in C",
        (
            Cell("def f(): return f()\nf()", ("raised",), error="RecursionError"),
            Cell(
                "sys.setrecursionlimit(1 << 30)\nx = []\nfor _ in range(3_000_000): x = [x]\n[] == x\n"
                "def f(): return f()\nf()",
                STOPPED,
            ),
            Cell(
                "import sys\nsys.setrecursionlimit(1 << 30)\nx = ()\nfor _ in range(300_000): x = (x,)\nhash(x)",
                STOPPED,
            ),
        ),
        profile="short",
    ),
    Attack(
        "parser_bomb",
        "code that breaks compilers: deep nesting, endless operators, huge literals",
        (
            Cell("(" * 100_000 + ")" * 100_000, STOPPED),
            Cell("-" * 300_000 + "1", STOPPED),
            Cell("x = " + "[" * 150 + "]" * 150 + "\n" + "1+" * 50_000 + "1", (*STOPPED, "ok")),
            Cell("eval('lambda: ' * 50_000 + '0')", STOPPED),
            Cell("x." + ".".join(["a"] * 60_000), STOPPED),
            Cell("1" * 100_000, ("raised",), error="SyntaxError|ValueError"),
        ),
    ),
    Attack(
        "compile_bomb",
        "a short program that compiles to a huge one",
        (
            Cell("(1 << 100,) * (1 << 30)", STOPPED),
            Cell("exec('x = ' + '+'.join(['f(' * 90 + ')' * 90] * 20_000))", (*STOPPED,)),
            Cell("'%1000000000d' % 1, f'{1:2000000000}'", ("out_of_memory", "killed", "raised")),
        ),
    ),
]
