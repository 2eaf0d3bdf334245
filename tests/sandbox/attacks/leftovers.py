"""Attacks on the next session, through what warm workers could share: modules, settings, memory, files."""

from .case import Attack, Cell

ATTACKS = [
    Attack(
        "patched_builtins",
        "replace print, open, len, repr, import and the classes of built-in exceptions",
        (
            Cell(
                """
import builtins
def forged(*_, **__): return 'forged'
for name in 'open len repr sum sorted isinstance compile eval exec str OSError __import__'.split():
    setattr(builtins, name, forged)
builtins.left = 'forged'
builtins.print = forged
""",
                ("ok", "raised", "killed"),
            ),
        ),
        still_works=False,
    ),
    Attack(
        "patched_libraries",
        "replace functions of numpy, PIL, json, random and the random state; hide modules and forge new ones",
        (
            Cell(
                """
import decimal, json, linecache, math, os, random, re, sys, traceback, types
import numpy
from PIL import Image
def forged(*_, **__): return 'forged'
numpy.sum = numpy.array = numpy.mean = numpy.random.rand = Image.open = Image.new = Image.Image.save = forged
json.dumps = json.loads = re.compile = random.random = math.sqrt = os.listdir = traceback.format_exc = forged
random.seed(7)
numpy.random.seed(7)
numpy.seterr(all='raise')
numpy.set_printoptions(precision=1)
decimal.getcontext().prec = 2
Image.MAX_IMAGE_PIXELS = 1
sys.modules['antigravity'] = sys.modules['pandas'] = types.ModuleType('forged')
for name in [name for name in sys.modules if name.startswith('scipy')]: del sys.modules[name]
sys.path.insert(0, '/tmp')
linecache.cache['<cell 1>'] = (1, None, ['forged'], '<cell 1>')
""",
                ("ok", "raised", "killed"),
            ),
        ),
        still_works=False,
    ),
    Attack(
        "changed_interpreter",
        "import hooks, traces, recursion limit, switch interval, warnings, codecs, locale, collector",
        (
            Cell(
                """
import codecs, gc, locale, sys, threading, warnings
class Finder:
    def find_spec(self, *_): return None
sys.meta_path.insert(0, Finder())
sys.path_hooks.insert(0, lambda path: 1/0)
sys.setrecursionlimit(60)
sys.setswitchinterval(100)
sys.dont_write_bytecode = False
sys.displayhook = sys.excepthook = lambda *_: None
warnings.simplefilter('error')
codecs.register(lambda name: None)
gc.disable()
gc.unfreeze()
locale.setlocale(locale.LC_ALL, 'C')
threading.stack_size(1 << 20)
""",
                ("ok", "raised", "killed"),
            ),
        ),
        still_works=False,
    ),
    Attack(
        "changed_process",
        "environment, limits, umask, folder, signal handlers, timers, priority, affinity, names",
        (
            Cell(
                """
import resource, signal
os.environ.clear()
os.environ['LD_PRELOAD'] = os.environ['PYTHONSTARTUP'] = '/tmp/x.py'
for name, most in (('NOFILE', 20), ('NPROC', 20), ('STACK', 1 << 24), ('FSIZE', 1 << 24), ('DATA', 1 << 24)):
    resource.setrlimit(getattr(resource, f'RLIMIT_{name}'), (most, most))
os.umask(0o777)
os.chdir('/dev/shm')
for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
os.nice(19)
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
libc.prctl(15, b'forged', 0, 0, 0)
libc.prctl(4, 0, 0, 0, 0)
libc.prctl(41, 1, 0, 0, 0)
time.tzset()
""",
                ("ok", "raised", "killed"),
            ),
        ),
        still_works=False,
    ),
    Attack(
        "changed_memory",
        "overwrite objects and code that were forked: small numbers, None, empty tuples, the C library's text",
        (
            Cell(
                """
import numpy
numpy.array([1.5]).dtype.type
data = ctypes.cast(id(257), ctypes.POINTER(ctypes.c_ubyte))
for number in range(5, 200):
    ctypes.cast(id(number) + 24, ctypes.POINTER(ctypes.c_uint32))[0] = 42
page = ctypes.cast(libc.getpid, ctypes.c_void_p).value & ~0xFFF
libc.mprotect(ctypes.c_void_p(page), 8192, 7)
ctypes.memset(page, 0xC3, 8192)
""",
                ("ok", "raised", "killed", "timed_out", "out_of_memory"),
            ),
        ),
        profile="short",
        still_works=False,
    ),
    Attack(
        "planted_files",
        "modules, start-up files, fonts and settings in every folder that a later interpreter may read",
        (
            Cell(
                """
planted = 0
for folder in ('/tmp', '/dev/shm', os.path.expanduser('~'), '.', '/tmp/.config/matplotlib',
               '/tmp/.local/lib/python3.11/site-packages',
               os.environ.get('MPLCONFIGDIR', '/tmp'), '/run', '/var/tmp', '/usr/local/lib'):
    for name in 'sitecustomize.py usercustomize.py numpy.py json.py x.pth matplotlibrc fonts.conf .pythonrc'.split():
        try:
            os.makedirs(folder, exist_ok=True)
            with open(f'{folder}/{name}', 'w') as file: file.write('raise SystemExit(\"forged\")')
            planted += 1
        except OSError:
            pass
print(planted > 7)
""",
                stdout="True\n",
            ),
        ),
        still_works=False,
    ),
    Attack(
        "state_of_a_stopped_session",
        "leave all of this in a session that is stopped, so that its next cell meets it",
        (
            Cell(
                "import builtins\nbuiltins.left = 'forged'\n"
                "open('/tmp/json.py', 'w').write('raise SystemExit')\nwhile True: pass",
                ("timed_out",),
            ),
            Cell(
                "import json, os\nprint(hasattr(__builtins__, 'left'), os.path.exists('/tmp/json.py'))",
                stdout=r"False False\n",
            ),
        ),
        profile="short",
    ),
]
