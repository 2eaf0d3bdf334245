"""What a session must look like that comes after an attack: exactly what the first one looked like."""

FINGERPRINT = r"""
import atexit, decimal, gc, hashlib, json, locale, os, resource, signal, sys, threading, warnings

def short(value):
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]

def contents(name):
    '''Who made the members of a module and of its classes: a replaced one has another home.'''
    seen = []
    for key, value in sorted(vars(sys.modules[name]).items()):
        members = sorted(vars(value).items()) if isinstance(value, type) else [(key, value)]
        for inner, member in members:
            code = getattr(member, '__code__', None)
            simple = member if isinstance(member, (int, float, str, bool, type(None))) and inner.isupper() else ''
            seen.append((key, inner, type(member).__name__, getattr(member, '__module__', ''),
                         getattr(member, '__qualname__', ''), code and code.co_filename, simple))
    return short(seen)

def _main():
    looked = ['builtins', 'json', 'io', 'os', 're', 'random', 'math', 'ast', 'traceback', 'linecache', 'numpy',
              'numpy.linalg', 'PIL.Image', 'PIL.PngImagePlugin', 'matplotlib.pyplot', 'pandas', 'scipy', 'sympy']
    files = []
    for entry in sorted(os.listdir('/proc/self/fd'), key=int):
        try:
            files.append((int(entry), os.readlink(f'/proc/self/fd/{entry}').split(':')[0]))
        except OSError:
            pass
    status = dict(line.split(':', 1) for line in open('/proc/self/status').read().splitlines())
    found = {
        'answers': [1 + 1, sum(range(100)), 256 == 255 + 1, [str(n) == repr(n) for n in (7, 42, 199)], int('199') * 3,
                    '%.3f' % (1 / 3), len('abc'), 7 ** 20],
        'processes': sum(pid.isdigit() for pid in os.listdir('/proc')),
        'temporary': [os.listdir('/tmp'), os.listdir('/dev/shm')],
        'folder': os.getcwd(),
        'environment': dict(os.environ),
        'limits': [resource.getrlimit(getattr(resource, name)) for name in sorted(dir(resource))
                   if name.startswith('RLIMIT_') and name != 'RLIMIT_AS'],
        'mask': os.umask(0),
        'signals': [str(signal.getsignal(n)) for n in range(1, 65)],
        'blocked': [status[name].strip() for name in ('SigBlk', 'SigIgn', 'CapEff', 'Seccomp', 'NoNewPrivs', 'Name')],
        'priority': [os.getpriority(os.PRIO_PROCESS, 0), sorted(os.sched_getaffinity(0))],
        'threads': threading.active_count(),
        'files': files,
        'path': sys.path,
        'finders': [str(getattr(finder, '__qualname__', type(finder))) for finder in sys.meta_path]
                   + [len(sys.path_hooks)],
        'hooks': [sys.gettrace() is None, sys.getprofile() is None, sys.excepthook is sys.__excepthook__,
                  sys.displayhook is sys.__displayhook__, sys.stdout is sys.__stdout__, len(gc.callbacks),
                  atexit._ncallbacks()],
        'numbers': [sys.getrecursionlimit(), sys.getswitchinterval(), gc.isenabled(), decimal.getcontext().prec,
                    threading.stack_size(), sys.get_int_max_str_digits(), hash('x'), len(warnings.filters)],
        'locale': locale.setlocale(locale.LC_ALL),
        'names': sorted(name for name in globals() if not name.startswith('__')),
        'modules': short(sorted(sys.modules)),
        'contents': {name: contents(name) for name in looked if name in sys.modules},
    }
    if 'numpy' in sys.modules:
        import numpy
        from PIL import Image
        found['libraries'] = [int(numpy.arange(10).sum()), float(numpy.mean([1.0, 2.0])), str(numpy.array([1.25, 2])),
                              str(numpy.geterr()), Image.new('RGB', (2, 2), 'red').getpixel((1, 1)),
                              Image.MAX_IMAGE_PIXELS]
    text = json.dumps(found, sort_keys=True)
    for at in range(0, len(text), 3000):
        print(text[at:at + 3000])

_main()
"""
