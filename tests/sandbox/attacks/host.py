"""The host that must not be harmed: servers, secrets, files and a process set out as bait, and what became of them."""

import contextlib
import ctypes
import os
import secrets
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from .seen import descendants

REPOSITORY = Path(__file__).parents[3]
DECOY = """
import ctypes, os, signal, sys, time
for number in set(range(1, 65)) - {9, 19, 32, 33}:
    signal.signal(number, lambda number, _: os.write(1, b'%d ' % number))
kept = os.environ['ATTACK_SECRET'] * 10
print('ready', flush=True)
while True: time.sleep(600)
"""
IPC_CREATE = 0o1000


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Host:
    """A context manager: puts out the bait, and takes it in again."""

    def __init__(self) -> None:
        self.secret = "SECRET-" + secrets.token_hex(16)
        """The secret in the environment, in files, in the decoy's memory and in what the servers say."""
        self.word = secrets.token_hex(6)
        """Part of every name that is made for these attacks; attacks put their own number behind it."""
        self._signals = b""
        self.contacts: list[str] = []
        """Whoever reached a server."""
        self.listen_port, self.listen_name = _free_port(), f"listen-{self.word}"

    def __enter__(self) -> "Host":
        with contextlib.ExitStack() as stack:
            os.environ["ATTACK_SECRET"] = self.secret
            stack.callback(os.environ.pop, "ATTACK_SECRET", None)
            self._plant(stack)
            self._serve(stack)
            self._start_decoy(stack)
            self._ipc = self._shared_memory(stack)
            self._stack = stack.pop_all()
        self._before = self._state()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _plant(self, stack: contextlib.ExitStack) -> None:
        """Files with the secret wherever this user can write."""
        self.files: list[Path] = []
        self.folders = [Path(p) for p in ("/tmp", "/dev/shm", "/var/tmp", os.path.expanduser("~"), REPOSITORY)]
        for folder in self.folders:
            with contextlib.suppress(OSError):
                inner = Path(tempfile.mkdtemp(prefix=f".{self.word}-", dir=folder))
                stack.callback(inner.rmdir)
                # Open to all: that walls keep it, not the rights of another user.
                inner.chmod(0o777)
                path = inner / "secret"
                path.write_text(self.secret)
                stack.callback(path.unlink)
                path.chmod(0o666)
                self.files.append(path)

    def _serve(self, stack: contextlib.ExitStack) -> None:
        """Servers that note who comes and answer with the secret."""
        self.tcp = stack.enter_context(socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True))
        self.model = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.udp.bind(("0.0.0.0", 0))
        self.unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        self.unix_path = str(self.files[0].parent / "socket")
        self.unix.bind(self.unix_path)
        stack.callback(os.unlink, self.unix_path)
        os.chmod(self.unix_path, 0o777)
        self.abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        self.abstract_name = f"server-{self.word}"
        self.abstract.bind("\0" + self.abstract_name)
        self.unix.listen()
        self.abstract.listen()
        selector = stack.enter_context(selectors.DefaultSelector())
        for name in ("tcp", "model", "udp", "unix", "abstract"):
            getattr(self, name).setblocking(False)
            selector.register(getattr(self, name), selectors.EVENT_READ, name)
        stop, stopped = os.pipe()
        selector.register(stop, selectors.EVENT_READ, "")
        thread = threading.Thread(target=self._listen, args=(selector,), daemon=True)
        thread.start()

        def end() -> None:
            os.close(stopped)
            thread.join()
            os.close(stop)

        stack.callback(end)

    def _listen(self, selector: selectors.BaseSelector) -> None:
        while True:
            for key, _ in selector.select():
                if not key.data:
                    return
                self.contacts.append(key.data)
                with contextlib.suppress(OSError):
                    if key.data == "udp":
                        self.udp.recvfrom(1000)
                    else:
                        with key.fileobj.accept()[0] as channel:
                            channel.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + self.secret.encode())

    def _start_decoy(self, stack: contextlib.ExitStack) -> None:
        """A process that writes down every signal it gets."""
        self.decoy_word = f"decoy-{self.word}"
        self.decoy = subprocess.Popen(
            [sys.executable, "-S", "-c", DECOY, self.decoy_word],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

        def end() -> None:
            self.decoy.kill()
            self.decoy.wait()
            self.decoy.stdout.close()

        stack.callback(end)
        self.decoy.stdout.readline()
        os.set_blocking(self.decoy.stdout.fileno(), False)

    def _shared_memory(self, stack: contextlib.ExitStack) -> int:
        """A System V segment with the secret, and its key."""
        libc = ctypes.CDLL(None)
        libc.shmat.restype = ctypes.c_void_p
        libc.shmdt.argtypes = (ctypes.c_void_p,)
        key = secrets.randbits(30) + 1
        number = libc.shmget(key, 4096, IPC_CREATE | 0o666)
        if number >= 0:
            stack.callback(libc.shmctl, number, 0, None)
            self._segment = libc.shmat(number, None, 0)
            stack.callback(libc.shmdt, self._segment)
            ctypes.memmove(self._segment, self.secret.encode(), len(self.secret))
        else:
            self._segment = None
        return key

    def told(self, marker: str) -> dict[str, Any]:
        """What an attack is told of the host; an attacker may know it all, only not the secret."""
        addresses = ["127.0.0.1", *{info[4][0] for info in _own_addresses()}]
        return {
            "marker": marker,
            "tcp": self.tcp.getsockname()[1],
            "model": self.model.getsockname()[1],
            "udp": self.udp.getsockname()[1],
            "unix": self.unix_path,
            "abstract": self.abstract_name,
            "addresses": addresses,
            "listen": self.listen_port,
            "listen_name": self.listen_name,
            "files": [str(path) for path in self.files],
            # This process, the decoy, the fork servers with their bubblewrap, and other sessions.
            "pids": [os.getpid(), *sorted(descendants(os.getpid()))[:7]],
            "decoy": self.decoy_word,
            "repository": str(REPOSITORY),
            "home": os.path.expanduser("~"),
            "ipc": self._ipc,
            "pid_namespace": os.readlink("/proc/self/ns/pid"),
        }

    def _state(self) -> dict[str, Any]:
        """All that attacks may not change."""
        state: dict[str, Any] = {}
        for path in [*self.files, REPOSITORY / "pyproject.toml", REPOSITORY / "README.md"]:
            about = path.stat()
            state[f"the file {path}"] = (
                path.read_bytes(),
                about.st_mtime_ns,
                about.st_ino,
                about.st_mode,
                about.st_uid,
            )
        for path in self.files:
            state[f"the folder {path.parent}"] = sorted(os.listdir(path.parent))
        state["shared memory"] = ctypes.string_at(self._segment, len(self.secret)) if self._segment else b""
        state["mounts"] = Path("/proc/self/mountinfo").read_text()
        state["environment"] = dict(os.environ)
        state["working folder"] = os.getcwd()
        state["terminal"] = os.getpgid(0), os.getsid(0)
        state["priority and processors"] = os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0)
        state["host name"] = socket.gethostname()
        return state

    def harm(self) -> list[str]:
        """What has been done to this host so far; nothing, if the sandbox holds."""
        found = [f"a server was reached: {name}" for name in self.contacts]
        now = self._state()
        found += [f"changed: {name}" for name in now if now[name] != self._before[name]]
        if self.decoy.poll() is not None:
            return [*found, f"the decoy process ended with {self.decoy.returncode}"]
        self._signals += self.decoy.stdout.read() or b""
        if self._signals:
            found.append(f"the decoy process got signals {self._signals.decode()}")
        stat = Path(f"/proc/{self.decoy.pid}/stat").read_text()
        if stat[stat.rindex(")") + 2] not in "SR":  # asleep, or on a busy machine not there yet; not stopped or traced
            found.append(f"the decoy process is in state {stat[stat.rindex(')') + 2]}")
        for folder in {*self.folders, Path("/"), Path("/etc"), Path("/usr"), Path("/usr/lib"), Path.cwd()}:
            with contextlib.suppress(OSError):
                found += [
                    f"a file was made: {folder / name}" for name in os.listdir(folder) if f"at-{self.word}" in name
                ]
        return found

    def prove_bait(self) -> None:
        """Reach every server from here, so that silence later means something."""
        port = self.tcp.getsockname()[1]
        for family, address in (
            (socket.AF_INET, ("127.0.0.1", port)),
            (socket.AF_INET6, ("::1", port)),
            (socket.AF_INET, ("127.0.0.1", self.model.getsockname()[1])),
            (socket.AF_UNIX, self.unix_path),
            (socket.AF_UNIX, "\0" + self.abstract_name),
        ):
            with socket.socket(family) as channel:
                channel.settimeout(5)
                channel.connect(address)
                if self.secret.encode() not in channel.recv(1000) + channel.recv(1000):
                    raise RuntimeError(f"the server at {address!r} does not say the secret")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            channel.sendto(b"x", ("127.0.0.1", self.udp.getsockname()[1]))
        for _ in range(500):
            if len(self.contacts) == 6:
                break
            threading.Event().wait(0.01)
        else:
            raise RuntimeError(f"of six contacts only these were seen: {self.contacts}")
        self.contacts.clear()


def _own_addresses() -> list[Any]:
    try:
        return socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    except OSError:
        return []
