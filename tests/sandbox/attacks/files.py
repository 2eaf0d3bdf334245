"""Attacks on files: reading the host's, its processes' memory and environment, and writing anywhere outside."""

from .case import Attack, Cell, refused

READ = """
def show(path, size=20000):
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        return print('refused', getattr(error, 'errno', error))
    try:
        print('opened', path, os.read(descriptor, size))
    except OSError as error:
        print('refused', error.errno)
    finally:
        os.close(descriptor)
"""
ALL_REFUSED = r"(refused \d+\n)+"
SEARCH = """
import re
def search(pid, wanted):
    '''What looks like a secret in the memory of a process, its stack and its environment included.'''
    found, seen = set(), 0
    with open(f'/proc/{pid}/maps') as maps, open(f'/proc/{pid}/mem', 'rb', 0) as memory:
        for line in maps:
            span, rights, _, device, *rest = line.split()
            start, end = (int(bound, 16) for bound in span.split('-'))
            # Libraries are left out: their text is files that all may read.
            if 'r' not in rights or device != '00:00' or '[vvar' in line or '[vsyscall' in line:
                continue
            for at in range(start, end, 8 << 20):
                try:
                    memory.seek(at)
                    data = memory.read(min(8 << 20, end - at))
                except OSError:
                    break
                seen += len(data)
                found.update(re.findall(wanted, data))
    return seen, found
"""

ATTACKS = [
    Attack(
        "host_files",
        "read the host's files: canaries, passwords, the repository, the ledger, homes, keys",
        (
            Cell(
                READ
                + """
for path in [*host['files'], '/etc/passwd', '/etc/shadow', '/etc/hosts', '/etc/resolv.conf', '/etc/machine-id',
             '/root/.bashrc', '/root/.ssh/id_rsa', '/var/log/syslog', '/var/run/secrets', '/boot', '/etc/ssl/private',
             host['repository'] + '/pyproject.toml', host['repository'] + '/.git/config', host['repository'] + '/data',
             host['repository'] + '/tests', host['home'] + '/.netrc', host['home'] + '/.config', '/mnt', '/srv']:
    show(path)
""",
                stdout=ALL_REFUSED,
            ),
        ),
    ),
    Attack(
        "environment",
        "find the host's environment: in os.environ, in C's environ, in every /proc/*/environ",
        (
            Cell(
                """
print(dict(os.environ))
names = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, 'environ')
for number in range(200):
    if names[number] is None: break
    print(names[number])
for pid in os.listdir('/proc'):
    if pid.isdigit():
        try:
            print(open(f'/proc/{pid}/environ', 'rb').read())
        except OSError:
            pass
print(subprocess.run(['env'], capture_output=True).stdout)
""",
            ),
        ),
    ),
    Attack(
        "own_memory",
        "search the worker's own memory for what it was forked from or was told",
        (
            Cell(
                SEARCH
                + """
seen, found = search('self', rb'SECRET-[0-9a-f]{32}')
print(seen > 1 << 20, found)
""",
                stdout=r"True set\(\)\n",
            ),
        ),
    ),
    Attack(
        "memory_of_others",
        "read and write the memory of the sandbox's first process, of its parent, of host processes through /proc",
        (
            Cell(
                SEARCH
                + """
for pid in [1, *host['pids']]:
    attempt('maps', search, pid, b'SECRET-[0-9a-f]{32}')
    attempt('write', open, f'/proc/{pid}/mem', 'r+b', 0)
    for name in ('environ', 'auxv', 'root/etc/shadow', 'cwd/pyproject.toml', 'exe', 'stack', 'syscall'):
        attempt(name, open, f'/proc/{pid}/{name}', 'rb')
    attempt('fd', os.listdir, f'/proc/{pid}/fd')
""",
                stdout=r"(\w+/?[\w/.]* refused \w+\n)+",
            ),
        ),
    ),
    Attack(
        "processes_in_proc",
        "see processes of the host or of other sessions, and what their command lines say",
        (
            Cell(
                """
pids = sorted(int(pid) for pid in os.listdir('/proc') if pid.isdigit())
print(len(pids) <= 3, [pid for pid in host['pids'] if os.path.exists(f'/proc/{pid}')])
for pid in pids:
    print(open(f'/proc/{pid}/cmdline', 'rb').read().count(host['decoy'].encode()))
""",
                stdout=r"True \[\]\n(0\n)+",
            ),
        ),
    ),
    Attack(
        "kernel_files",
        "read the kernel's memory, its log, its addresses, its devices and its settings",
        (
            Cell(
                READ
                + """
for path in ['/proc/kcore', '/proc/kmsg', '/dev/mem', '/dev/kmem', '/dev/port', '/dev/kmsg', '/proc/kpagecount',
             '/sys/kernel/debug', '/sys/firmware/efi', '/proc/vmallocinfo', '/proc/slabinfo', '/proc/timer_list',
             '/dev/sda', '/dev/vda', '/dev/nvme0n1', '/sys/class/net', '/sys/fs/cgroup', '/sys/kernel/mm']:
    show(path)
attempt('log', syscall, 'syslog', 3, ctypes.create_string_buffer(1000), 1000)
print({line.split()[0] for line in open('/proc/kallsyms')} <= {'0' * 16} if os.access('/proc/kallsyms', 4) else True)
""",
                stdout=r"(refused \d+\n)+" + refused("log") + "True\n",
            ),
        ),
    ),
    Attack(
        "kernel_switches",
        "write to /proc and /sys: sysrq, core pattern, modprobe, oom score, limits, id maps, cgroups",
        (
            Cell(
                """
def write(path, text):
    with open(path, 'w') as file:
        file.write(text)
for path, text in [('sysrq-trigger', 'h'), ('sys/kernel/core_pattern', '|/bin/true'), ('sys/kernel/modprobe', '/tmp/x'),
                   ('sys/kernel/hostname', 'x'), ('sys/vm/overcommit_memory', '0'),
                   ('sys/kernel/randomize_va_space', '2'),
                   ('sys/fs/binfmt_misc/register', ':x:M::x::/tmp/x:'), ('sys/net/ipv4/ip_forward', '0'),
                   ('sys/user/max_user_namespaces', '99'), ('sys/user/max_inotify_instances', '9999'),
                   ('self/oom_score_adj', '-1000'), ('self/oom_score_adj', '0'), ('self/uid_map', '0 0 1'),
                   ('self/gid_map', '0 0 1'), ('self/setgroups', 'allow'), ('1/oom_score_adj', '-1000'),
                   ('self/attr/current', 'unconfined'), ('self/timens_offsets', '1 1 1'), ('irq/0/smp_affinity', '1')]:
    attempt(path, write, f'/proc/{path}', text)
attempt('sys', write, '/sys/power/state', 'on')
attempt('cgroup', write, '/sys/fs/cgroup/cgroup.procs', '0')
attempt('cgroup1', os.mkdir, '/sys/fs/cgroup/memory/x')
""",
                stdout=r"([\w/-]+ refused \w+\n){22}",
            ),
        ),
    ),
    Attack(
        "descriptors",
        "walk all descriptors: read them, step out of folders through them, send terminal input",
        (
            Cell(
                """
import fcntl, stat
for descriptor in range(1024):
    try:
        about, link = os.fstat(descriptor), os.readlink(f'/proc/self/fd/{descriptor}')
    except OSError:
        continue
    kind = stat.S_IFMT(about.st_mode)
    if kind not in (stat.S_IFSOCK, stat.S_IFIFO) and link != '/dev/null':
        print('DONE', descriptor, link)
    for path in ('.', '..', 'etc/shadow', '../../../../etc/shadow'):
        try:
            print('DONE', os.open(path, os.O_RDONLY, dir_fd=descriptor))
        except OSError:
            pass
    for action in (lambda: os.fchdir(descriptor), lambda: fcntl.ioctl(descriptor, 0x5412, b'x'),
                   lambda: fcntl.ioctl(descriptor, 0x541C, b'\\x03'),
                   lambda: os.open(f'/proc/self/fd/{descriptor}/..', 0)):
        try:
            print('DONE', descriptor, action())
        except OSError:
            pass
    if kind == stat.S_IFIFO:
        try:  # the other end of its output, opened through /proc
            other = os.open(f'/proc/self/fd/{descriptor}', os.O_RDONLY | os.O_NONBLOCK)
            os.close(other)
        except OSError:
            pass
print('walked')
""",
                stdout="walked\n",
            ),
        ),
    ),
    Attack(
        "paths_out",
        "leave by '..', by links, by /proc/*/root and cwd, by openat2",
        (
            Cell(
                READ
                + """
targets = ['/etc/shadow', *host['files']]
for number, target in enumerate(targets):
    show('/tmp' + '/..' * 40 + target)
    os.symlink(target, f'/tmp/link{number}')
    show(f'/tmp/link{number}')
    for root in ('self/root', '1/root', 'self/cwd/..', '1/cwd', f'{os.getppid()}/root', 'self/task/1/root', '1/fd/3'):
        show(f'/proc/{root}{target}')
    try:
        os.link(target, f'/tmp/hard{number}')
        print('DONE')
    except OSError as error:
        print('refused', error.errno)
    how = (ctypes.c_uint64 * 3)(0, 0, 0)
    folder = os.open('/tmp', os.O_PATH)
    attempt('openat2', syscall, 'openat2', folder, ('../' * 40 + target[1:]).encode(), how, 24)
""",
                stdout=r"((openat2 )?refused \w+\n)+",
            ),
        ),
    ),
    Attack(
        "file_handles",
        "open a file of the host by its handle, past all paths",
        (
            Cell(
                """
buffer = ctypes.create_string_buffer(136)
buffer[0] = b'\\x80'
mount = ctypes.c_int()
attempt('name', syscall, 'name_to_handle_at', -100, b'/usr/bin', buffer, ctypes.byref(mount), 0)
handle = ctypes.create_string_buffer((8).to_bytes(4, 'little') + (1).to_bytes(4, 'little') + (2).to_bytes(8, 'little'))
attempt('open', syscall, 'open_by_handle_at', os.open('/usr', os.O_RDONLY), handle, 0)
attempt('watch', syscall, 'fanotify_init', 0, 0)
""",
                stdout=refused("name open watch"),
            ),
        ),
    ),
    Attack(
        "write_everywhere",
        "make, change, rename and remove files in every folder that can be seen",
        (
            Cell(
                """
tried = 0
for folder, folders, files in os.walk('/'):
    if folder in ('/tmp', '/dev/shm', '/proc'):
        folders[:] = []
        continue
    if folder.count('/') > 5: folders[:] = []
    path = os.path.join(folder, host['marker'])
    actions = [lambda: os.open(path, os.O_CREAT | os.O_WRONLY), lambda: os.mkdir(path), lambda: os.chmod(folder, 0o777),
               lambda: os.mkfifo(path), lambda: os.symlink('x', path), lambda: os.utime(folder),
               lambda: os.open(folder, os.O_TMPFILE | os.O_RDWR), lambda: os.setxattr(folder, 'user.x', b'x')]
    if files and not folder.startswith('/dev'):
        file = os.path.join(folder, files[0])
        actions += [lambda: os.open(file, os.O_WRONLY), lambda: os.unlink(file), lambda: os.rename(file, path),
                    lambda: os.truncate(file, 0), lambda: os.link(file, '/tmp/x'), lambda: os.chown(file, 1000, 1000)]
    for number, action in enumerate(actions):
        tried += 1
        try:
            action()
            print('DONE', number, folder)
        except OSError:
            pass
    if tried > 20000: break
print(tried > 1000)
""",
                stdout="True\n",
            ),
        ),
    ),
    Attack(
        "poisoned_packages",
        "change what the next interpreter imports: packages, .pth files, bytecode, the interpreter itself",
        (
            Cell(
                """
import json, numpy, site, sysconfig
def append(path):
    with open(path, 'ab') as file:
        file.write(b'#')
folders = {os.path.dirname(module.__file__) for module in (os, json, numpy)} | set(sysconfig.get_paths().values())
for folder in sorted(folders):
    attempt('pth', append, f'{folder}/{host["marker"]}.pth')
    attempt('site', append, f'{folder}/sitecustomize.py')
    attempt('cache', append, f'{folder}/__pycache__/x.cpython-311.pyc')
for path in (os.__file__, numpy.__file__, os.path.realpath(sys.executable), '/bin/sh', '/usr/bin/env'):
    attempt('file', append, path)
""",
                stdout=r"(\w+ refused \w+\n){14,}",
            ),
        ),
    ),
    Attack(
        "devices",
        "find or make device files",
        (
            Cell(
                """
import fcntl, stat
print(sorted(os.listdir('/dev')))
for name in ('tty', 'console', 'ptmx', 'pts/0', 'fuse', 'kvm', 'loop-control', 'loop0', 'userfaultfd', 'vsock',
             'vhost-net', 'nvidia0', 'nvidiactl', 'dri/card0', 'input/event0', 'snd/timer', 'hpet', 'rtc0', 'uinput'):
    attempt(name, open, f'/dev/{name}', 'rb')
for kind, number in ((stat.S_IFCHR, (1, 1)), (stat.S_IFCHR, (5, 0)), (stat.S_IFBLK, (8, 0)), (stat.S_IFBLK, (254, 0))):
    attempt('node', os.mknod, '/tmp/node', kind | 0o666, os.makedev(*number))
for path in ('/dev/null', '/dev/full', '/dev/random'):
    attempt('mode', os.chmod, path, 0o600)
attempt('entropy', fcntl.ioctl, os.open('/dev/random', os.O_RDWR), 0x5204, bytes(4))
""",
                stdout=r"\['fd', 'full', 'null', 'random', 'shm', 'urandom', 'zero'\]\n([\w/-]+ refused \w+\n){27}",
            ),
        ),
    ),
]
