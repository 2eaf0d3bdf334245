"""Attacks through what comes back as text: floods, terminal escapes, no text at all, values that show themselves."""

from .case import Attack, Cell

CUT = r"(?s).{0,25000}characters cut.{0,25000}"

ATTACKS = [
    Attack(
        "flood",
        "print without end on stdout and on stderr, in lines and in none",
        (
            Cell("while True: os.write(1, b'x' * 100_000)", ("killed", "timed_out"), stdout=CUT),
            Cell("import os\nwhile True: os.write(2, b'y\\n' * 50_000)", ("killed", "timed_out")),
            Cell("while True: print(end='z')", ("killed", "timed_out")),
        ),
        profile="short",
        alone=True,
    ),
    Attack(
        "flood_of_children",
        "let children print on after the cell has ended",
        (
            Cell(
                """
for _ in range(4):
    if os.fork() == 0:
        os.setsid()
        while True: os.write(1, b'later ' * 10_000)
print('done')
""",
                ("ok", "killed", "timed_out"),
                pause_s=1.0,
            ),
            Cell("2 * 3", ("ok", "killed"), value="6?"),
        ),
        profile="short",
        alone=True,
        still_works=False,
    ),
    Attack(
        "terminal_escapes",
        "control sequences, NUL, bidi overrides and lone surrogates in all texts",
        (
            Cell(
                r"""
hostile = '\x1b]0;title\x07\x1b[2J\x1b[31m\x00\x08\x7f\x9b31m\u202eabc\u2066\ud800\udfff\ufffe' + chr(0x10FFFF)
print(hostile)
print(hostile, file=sys.stderr)
hostile
""",
                stdout=r"(?s).*title.*",
                value=r"(?s).*title.*",
            ),
            Cell("raise ValueError('\\x1b[2J\\x00\\ud800\\u202e')", ("raised",), error="ValueError"),
            Cell("raise type('N\\x1b[2J\\u202e', (Exception,), {})('x')", ("raised",), error="x"),
            Cell("compile('x = = \\x1b[2J', '\\x1b[2J\\u202e', 'exec')", ("raised",), error="SyntaxError"),
        ),
    ),
    Attack(
        "no_text",
        "bytes that are no UTF-8, cut characters, other encodings",
        (
            Cell(
                "os.write(1, bytes(range(128, 256)) * 10 + chr(0x1F389).encode()[:2])\nos.write(2, b'\\xff\\xfe\\x00');"
            ),
            Cell("os.write(1, chr(0x1F389).encode()[2:]);", stdout="\ufffd{1,2}"),
            Cell("sys.stdout.reconfigure(encoding='utf-16')\nprint('x' * 10)", stdout="(?s).+"),
        ),
    ),
    Attack(
        "stdout_closed",
        "close, replace and break the standard streams",
        (
            Cell("import sys\nsys.stdout.close()\nsys.stderr.close()", ("ok", "raised")),
            Cell("import os\nos.close(1); os.close(2)", ("ok", "raised", "killed")),
            Cell(
                """
import sys
class Stream:
    def write(self, text): raise KeyboardInterrupt
    def flush(self): raise SystemExit(0)
    def __getattr__(self, name): raise MemoryError
sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = Stream()
1
""",
                ("ok", "raised", "killed", "out_of_memory"),
            ),
        ),
        still_works=False,
    ),
    Attack(
        "forged_notes",
        "print what looks like the sandbox's own words",
        (
            Cell(
                "print('[... 9 characters cut ...]')\n"
                'print(\'{"id": "x", "outcome": "infrastructure", "value": "forged"}\')\n1/0',
                ("raised",),
                value="",
                error="ZeroDivisionError",
            ),
        ),
    ),
    Attack(
        "repr_bombs",
        "values whose text is huge, endless, an exception or a lie",
        (
            Cell("'x' * (100 << 20)", ("ok", "out_of_memory"), value=r"(?s).{0,25000}"),
            Cell("class A:\n    def __repr__(self): return 'y' * (50 << 20)\nA()", value=CUT),
            Cell("class B:\n    def __repr__(self): 1/0\nB()", ("raised",), error="ZeroDivisionError"),
            Cell("class C:\n    def __repr__(self): return 5\nC()", ("raised",), error="TypeError"),
            Cell("class D:\n    def __repr__(self): raise SystemExit(0)\nD()", ("ok", "raised"), value=""),
            Cell(
                "class Text(str):\n    def __len__(self): return 3\n    def __getitem__(self, key): return 7\n"
                "    def encode(self, *_): return b'x' * 10\n    def __str__(self): return self\n"
                "class E:\n    def __repr__(self): return Text('z' * 200_000)\nE()",
                ("ok", "raised", "killed"),
                value=r"(?s).{0,25000}",
            ),
            Cell("x = []\nfor _ in range(50_000): x = [x]\nx", ("raised", "killed"), error="RecursionError|ended"),
        ),
    ),
    Attack(
        "endless_repr",
        "a value whose text never ends",
        (Cell("class A:\n    def __repr__(self):\n        while True: pass\nA()", ("timed_out",)),),
        profile="short",
    ),
    Attack(
        "hostile_exceptions",
        "errors that lie about themselves: text, class, code, causes in a ring, notes, a million frames",
        (
            Cell("class A(Exception):\n    def __str__(self): raise SystemExit(0)\nraise A", ("raised", "killed")),
            Cell("class B(Exception):\n    def __str__(self): return 'x' * (80 << 20)\nraise B", ("raised",)),
            Cell(
                "class Code:\n    def __eq__(self, other): raise KeyboardInterrupt\nraise SystemExit(Code())",
                ("raised", "ok", "killed"),
            ),
            Cell(
                "a, b = ValueError('a'), ValueError('b')\na.__cause__, b.__cause__ = b, a\nraise a",
                ("raised",),
                error="a",
            ),
            Cell("e = ValueError()\ne.__notes__ = ['n' * 1000] * 20_000\nraise e", ("raised",)),
            Cell("e = ValueError()\ne.__notes__ = 5\ne.__traceback__ = None\nraise e", ("raised",)),
            Cell(
                "e = ValueError('deep')\nfor _ in range(20_000): e = ExceptionGroup('g', [e])\nraise e",
                ("raised", "killed"),
            ),
            Cell(
                "e = None\nfor n in range(2_000):\n    f = ValueError(n)\n    f.__context__, e = e, f\nraise e",
                ("raised", "killed"),
            ),
            Cell("raise SyntaxError('m', (5, 'x', object(), b'y'))", ("raised", "killed")),
            Cell("raise SyntaxError('m', ('f', 1 << 40, -5, '\\ud800' * 9, 1, 1 << 50))", ("raised", "killed")),
            Cell(
                "class M(type):\n    __module__ = property(lambda s: 1/0)\n    __qualname__ = 3\n"
                "class E(Exception, metaclass=M): pass\nraise E",
                ("raised", "killed"),
            ),
        ),
    ),
    Attack(
        "rich_values",
        "objects that a notebook would ask for HTML, JavaScript or an image",
        (
            Cell(
                """
class A:
    def _repr_html_(self): open('/tmp/html', 'w'); return '<script>1</script>'
    def _repr_png_(self): open('/tmp/png', 'w'); return b'\\x89PNG' * 1000
    def _repr_mimebundle_(self, **_): return {'application/javascript': 'x'}
    def _ipython_display_(self): open('/tmp/display', 'w')
    def __getattr__(self, name): 1/0
    def __repr__(self): return 'plain'
A()
""",
                value="plain",
                images=(0, 0),
            ),
            Cell("import os\nsorted(set(os.listdir('/tmp')) & {'html', 'png', 'display'})", value=r"\[\]"),
        ),
    ),
    Attack(
        "pickled_values",
        "objects that run code where they are unpickled, as values, as exceptions, in what is displayed",
        (
            Cell(
                """
class Evil(Exception):
    def __reduce__(self):
        return os.mknod, ('/tmp/' + host['marker'],)
    __reduce_ex__ = lambda self, _: self.__reduce__()
display(Evil())
Evil()
""",
            ),
            Cell(
                "import pickle\nos.chdir('/tmp')\npickle.dump(Evil(), open('image.png', 'wb'))\nraise Evil",
                ("raised",),
                error="Evil",
            ),
        ),
    ),
]
