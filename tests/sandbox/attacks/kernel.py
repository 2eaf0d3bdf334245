"""Attacks on privileges: namespaces, mounts, other users, capabilities, tracing, and the kernel's rarer interfaces.

Where the sandbox failed, these would still do no harm: clocks are set to what they are, modules and swap files do not
exist, a reboot call only asks what a key press does.
"""

from .case import Attack, Cell, refused

NAMESPACES = ["mount", "cgroup", "uts", "ipc", "user", "pid", "net", "time"]

ATTACKS = [
    Attack(
        "new_namespaces",
        "make namespaces of its own, in every way there is",
        (
            Cell(
                f"""
flags = dict(zip({NAMESPACES!r}, [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000, 0x80]))
for name, flag in flags.items():
    attempt(name, syscall, 'unshare', flag)
    attempt(name, syscall, 'unshare', 0x10000000 | flag)
def clone(flag):
    pid = syscall('clone', flag | 17, 0, 0, 0, 0)
    if pid == 0: os._exit(0)
    return pid
for name in {NAMESPACES[:-1]!r}:
    attempt(name, clone, flags[name])
    attempt(name, clone, 0x10000000 | flags[name])
def clone3(flag):
    values = (ctypes.c_uint64 * 11)(flag, 0, 0, 0, 17)
    pid = syscall('clone3', values, 88)
    if pid == 0: os._exit(0)
    return pid
for name, flag in flags.items():
    attempt(name, clone3, flag)
attempt('program', subprocess.run, ['unshare', '--user', '--map-root-user', 'true'], check=True)
""",
                stdout=r"(\w+ refused \w+\n){39}",
            ),
        ),
    ),
    Attack(
        "enter_namespaces",
        "enter the namespaces of its first process, of its parent and of the host",
        (
            Cell(
                """
for pid in {1, os.getppid(), *host['pids']}:
    for name in ('user', 'pid', 'net', 'mnt', 'ipc', 'uts', 'cgroup', 'time'):
        def enter():
            return syscall('setns', os.open(f'/proc/{pid}/ns/{name}', os.O_RDONLY), 0)
        attempt('enter', enter)
attempt('own', lambda: syscall('setns', os.open('/proc/self/ns/user', os.O_RDONLY), 0))
attempt('handle', lambda: syscall('setns', syscall('pidfd_open', 1, 0), 0x20000))
import fcntl
for name in ('pid', 'user'):  # NS_GET_PARENT
    attempt('parent', lambda: fcntl.ioctl(os.open(f'/proc/self/ns/{name}', os.O_RDONLY), 0xB702))
""",
                stdout=r"(enter refused \w+\n)+own refused \w+\nhandle refused \w+\n(parent refused \w+\n){2}",
            ),
        ),
    ),
    Attack(
        "mounts",
        "mount, bind, unmount and change the root, by the old and by the new interface",
        (
            Cell(
                """
os.mkdir('/tmp/m')
attempt('tmpfs', syscall, 'mount', b'none', b'/tmp/m', b'tmpfs', 0, None)
attempt('proc', syscall, 'mount', b'proc', b'/tmp/m', b'proc', 0, None)
attempt('bind', syscall, 'mount', b'/', b'/tmp/m', None, 4096 | 16384, None)
attempt('writable', syscall, 'mount', None, b'/usr', None, 32 | 4096, None)
attempt('overlay', syscall, 'mount', b'x', b'/tmp/m', b'overlay', 0, b'lowerdir=/usr,upperdir=/tmp,workdir=/tmp/m')
attempt('unmount', syscall, 'umount2', b'/tmp', 2)
attempt('uncover', syscall, 'umount2', b'/proc', 2)
attempt('pivot', syscall, 'pivot_root', b'/tmp', b'/tmp/m')
attempt('chroot', os.chroot, '/tmp')
attempt('tree', syscall, 'open_tree', -100, b'/', 1)
attempt('move', syscall, 'move_mount', -100, b'/tmp', -100, b'/dev/shm', 0)
attempt('fsopen', syscall, 'fsopen', b'tmpfs', 0)
attempt('attributes', syscall, 'mount_setattr', -100, b'/usr', 0, (ctypes.c_uint64 * 4)(0, 1), 32)
attempt('program', subprocess.run, ['mount', '-t', 'tmpfs', 'none', '/tmp/m'], check=True, stderr=-3)
attempt('fuse', subprocess.run, ['fusermount', '/tmp/m'], check=True, stderr=-3)
""",
                stdout=refused(
                    "tmpfs proc bind writable overlay unmount uncover pivot chroot tree move fsopen attributes "
                    "program fuse"
                ),
            ),
        ),
    ),
    Attack(
        "become_another_user",
        "become root or another user, take capabilities, use programs that give them",
        (
            Cell(
                """
import stat
for call, *values in ((os.setuid, 0), (os.setgid, 0), (os.setreuid, 0, 0), (os.setresuid, 0, 0, 0), (os.setgroups, [0]),
                      (os.setresgid, 0, 0, 0), (os.setuid, 65534), (os.seteuid, 0), (os.initgroups, 'root', 0)):
    attempt(call.__name__, call, *values)
every = (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6)
attempt('capset', syscall, 'capset', (ctypes.c_uint32 * 2)(0x20080522, 0), every)
attempt('ambient', syscall, 'prctl', 47, 2, 21, 0, 0)
for line in open('/proc/self/status'):
    if line.startswith(('Uid', 'Gid', 'Groups', 'Cap', 'NoNewPrivs', 'Seccomp:')):
        print(*line.split())
with open('/tmp/sh', 'wb') as file: file.write(open('/bin/sh', 'rb').read())
os.chmod('/tmp/sh', 0o6755)
print(subprocess.run(['/tmp/sh', '-p', '-c', 'cat /proc/$$/status'], capture_output=True, text=True).stdout
      .split('Uid:')[-1].split()[:4])
found = 0
for folder in ('/usr/bin', '/bin', '/usr/sbin', '/usr/lib', '/usr/libexec'):
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                if os.lstat(os.path.join(root, name)).st_mode & (stat.S_ISUID | stat.S_ISGID): found += 1
            except OSError:
                pass
for line in (['su', '-c', 'id'], ['sudo', '-n', 'id'], ['newgrp'], ['passwd', '-d', 'root'], ['pkexec', 'id']):
    attempt(line[0], subprocess.run, line, check=True, capture_output=True, stdin=-3, timeout=2)
""",
                stdout=r"(\w+ refused \w+\n){11}Uid:( 1000){4}\nGid:( 1000){4}\nGroups:( \d+)*\n"
                r"(Cap\w+: 0{16}\n){5}NoNewPrivs: 1\nSeccomp: 2\n(\['1000', '1000', '1000', '1000'\]|\[\])\n"
                r"(\w+ refused \w+\n){5}",
            ),
        ),
    ),
    Attack(
        "loosen_the_filter",
        "take back no_new_privs and the seccomp filter, change what binds the process",
        (
            Cell(
                """
attempt('privs', syscall, 'prctl', 38, 0, 0, 0, 0)
attempt('seccomp', syscall, 'prctl', 22, 0, 0, 0, 0)
attempt('securebits', syscall, 'prctl', 28, 0x3F, 0, 0, 0)
attempt('memory', syscall, 'prctl', 35, 1, 4096, 0, 0)
attempt('bounding', syscall, 'prctl', 24, 64, 0, 0, 0)
class Program(ctypes.Structure):
    _fields_ = (('length', ctypes.c_ushort), ('filter', ctypes.c_char_p))
allow = Program(1, (6).to_bytes(2, 'little') + bytes(2) + (0x7FFF0000).to_bytes(4, 'little'))
libc.prctl(22, ctypes.c_ulong(2), ctypes.byref(allow), 0, 0)  # one more filter may be added; it can only refuse more
import resource
for name in ('AS', 'NPROC', 'NOFILE', 'FSIZE', 'CPU', 'CORE', 'MEMLOCK'):
    attempt(name, resource.setrlimit, getattr(resource, f'RLIMIT_{name}'), (resource.RLIM_INFINITY,) * 2)
attempt('still', syscall, 'unshare', 0x10000000)
attempt('trace', syscall, 'ptrace', 0, 0, 0, 0)
""",
                stdout=refused(
                    "privs seccomp securebits memory bounding AS NPROC NOFILE FSIZE CPU CORE MEMLOCK still trace"
                ),
            ),
        ),
    ),
    Attack(
        "other_entry",
        "call the kernel by its 32-bit entry, where the numbers of a filter mean other calls",
        (
            Cell(
                """
import mmap
code = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 7)
code.write(b'\\x53\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\x5b\\xc3')  # eax = 20 (getpid); int 0x80
function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
print(function() > 0 and 'DONE')
""",
                ("killed",),
                stdout="",
            ),
            Cell("import ctypes\nctypes.CDLL(None).syscall(0x40000000 | 39)", value="-1"),
        ),
        machines=("x86_64",),
    ),
    Attack(
        "trace",
        "trace, read, write and take descriptors of other processes: its own children, the first one, the host's",
        (
            Cell(
                """
child = os.fork()
if child == 0:
    time.sleep(20)
    os._exit(0)
word = (ctypes.c_uint64 * 2)(ctypes.addressof(ctypes.create_string_buffer(8)), 8)
for pid in (child, 1, os.getppid(), *host['pids']):
    for name, request in (('attach', 16), ('seize', 0x4206)):
        attempt(name, syscall, 'ptrace', request, pid, 0, 0)
    attempt('read', syscall, 'process_vm_readv', pid, word, 1, word, 1, 0)
    attempt('write', syscall, 'process_vm_writev', pid, word, 1, word, 1, 0)
    attempt('compare', syscall, 'kcmp', pid, os.getpid(), 0, 0, 0)
    attempt('take', lambda: syscall('pidfd_getfd', syscall('pidfd_open', pid, 0), 0, 0))
attempt('me', syscall, 'ptrace', 0, 0, 0, 0)
os.kill(child, 9)
""",
                stdout=r"((attach|seize|read|write|compare|take) refused \w+\n)+me refused \w+\n",
            ),
        ),
    ),
    Attack(
        "keyrings",
        "read and add keys of the kernel's keyrings, which no namespace divides",
        (
            Cell(
                """
attempt('add', syscall, 'add_key', b'user', b'x', b'secret', 6, -4)
attempt('request', syscall, 'request_key', b'user', b'x', None, -4)
for number in (0, 1, 6, 11, 16):
    attempt('control', syscall, 'keyctl', number, -5, 0, 0, 0)
print(open('/proc/keys').read().count('\\n') if os.access('/proc/keys', 4) else 0)
""",
                stdout=refused("add request control control control control control") + r"0\n",
            ),
        ),
    ),
    Attack(
        "rare_interfaces",
        "bpf, io_uring, userfaultfd, perf, fanotify, kexec, modules",
        (
            Cell(
                """
attempt('bpf', syscall, 'bpf', 0, ctypes.create_string_buffer(128), 128)
attempt('bpf-load', syscall, 'bpf', 5, ctypes.create_string_buffer(128), 128)
attempt('io_uring', syscall, 'io_uring_setup', 8, ctypes.create_string_buffer(128))
attempt('userfaultfd', syscall, 'userfaultfd', 1)
attempt('perf', syscall, 'perf_event_open', ctypes.create_string_buffer(128), 0, -1, -1, 0)
attempt('fanotify', syscall, 'fanotify_init', 0x200, 0)
attempt('kexec', syscall, 'kexec_load', 0, 0, None, 0)
attempt('kexec-file', syscall, 'kexec_file_load', -1, -1, 0, None, 0)
attempt('module', syscall, 'init_module', b'x', 1, b'')
attempt('module-file', syscall, 'finit_module', -1, b'', 0)
attempt('module-remove', syscall, 'delete_module', b'no_such_module', 2048)
""",
                stdout=refused(
                    "bpf bpf-load io_uring userfaultfd perf fanotify kexec kexec-file module module-file module-remove"
                ),
            ),
        ),
    ),
    Attack(
        "administration",
        "reboot, swap, clocks, host name, accounting, quotas, hang up the terminal",
        (
            Cell(
                """
now = (ctypes.c_int64 * 2)(int(time.time()), 0)
attempt('reboot', syscall, 'reboot', 0xFEE1DEAD, 672274793, 0, None)
attempt('swapon', syscall, 'swapon', b'/tmp/none', 0)
attempt('swapoff', syscall, 'swapoff', b'/tmp/none')
attempt('settimeofday', syscall, 'settimeofday', now, None)
attempt('clock', syscall, 'clock_settime', 0, now)
attempt('adjust', syscall, 'adjtimex', (ctypes.c_int64 * 40)(0x8000))
attempt('hostname', syscall, 'sethostname', b'x', 1)
attempt('domain', syscall, 'setdomainname', b'x', 1)
attempt('accounting', syscall, 'acct', b'/tmp/none')
attempt('quota', syscall, 'quotactl', 0x800002 << 8, b'/dev/none', 0, None)
attempt('hangup', syscall, 'vhangup')
""",
                stdout=refused(
                    "reboot swapon swapoff settimeofday clock adjust hostname domain accounting quota hangup"
                ),
            ),
        ),
    ),
    Attack(
        "scheduling",
        "real-time scheduling, higher priority, other processes' priority and memory",
        (
            Cell(
                """
attempt('fifo', os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(50))
attempt('robin', os.sched_setscheduler, 0, os.SCHED_RR, os.sched_param(50))
attempt('nice', os.nice, -5)
attempt('io', syscall, 'ioprio_set', 1, 0, 1 << 13)
for pid in host['pids']:
    attempt('priority', os.setpriority, os.PRIO_PROCESS, pid, 19)
    attempt('affinity', os.sched_setaffinity, pid, [0])
    attempt('limit', lambda: __import__('resource').prlimit(pid, 7, (3, 3)))
    attempt('migrate', syscall, 'migrate_pages', pid, 1, (ctypes.c_ulong * 1)(1), (ctypes.c_ulong * 1)(1))
os.sched_setaffinity(0, range(4096))
""",
                stdout=r"fifo refused \w+\nrobin refused \w+\nnice refused \w+\nio refused \w+\n"
                r"((priority|affinity|limit|migrate) refused \w+\n)+",
            ),
        ),
    ),
    Attack(
        "personality_and_core",
        "turn off address randomisation, dump core, trap the loader",
        (
            Cell(
                """
libc.syscall(NUMBERS['personality'], 0x0040000 | 0x0400000)
import resource
attempt('core', resource.setrlimit, resource.RLIMIT_CORE, (1 << 30, 1 << 30))
environment = dict(os.environ, LD_PRELOAD='/tmp/x.so', LD_AUDIT='/tmp/x.so', GLIBC_TUNABLES='glibc.malloc.check=3')
subprocess.run(['/bin/true'], env=environment, stderr=-3)
os.chdir('/tmp')
print(subprocess.run([sys.executable, '-S', '-c', 'import os; os.abort()'], stderr=-3).returncode,
      [name for name in os.listdir('/tmp') if 'core' in name])
os.abort()
""",
                ("killed",),
                stdout=r"core refused \w+\n-6 \[\]\n",
            ),
        ),
    ),
]
