"""The supervisor's side of fork servers: one per process and set of libraries, started when first needed."""

import atexit
import contextlib
import json
import os
import queue
import select
import signal
import socket
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from records.recipe import SandboxSettings
from sandbox.walls import bubblewrap, seccomp
from sandbox.walls.bubblewrap import StartFailed
from sandbox.walls.cgroups import Cgroups, Group

ANSWER_SECONDS = 30.0
"""How many seconds a fork server may take for one request; a fork takes milliseconds."""
GONE = -1
"""The exit status of a session whose fork server has ended."""
SPARES = 2
"""How many sessions are forked ahead, with the limits last asked for, so that opening one is fast."""


@dataclass(frozen=True)
class Forked:
    """A session without images, files or cells. Its owner closes it with `discard`."""

    server: "ForkServer"
    pid: int
    """The pid of its first process, as the fork server sees it."""
    handle: int
    """A pidfd of that process."""
    socket: socket.socket
    """The socket of the protocol, non-blocking."""
    output: int
    errors: int
    """The read ends of its stdout and stderr, non-blocking."""
    group: Group | None

    def kill(self) -> None:
        """Kill its first process, and with it all others."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.handle, signal.SIGKILL)

    def ended(self) -> bool:
        look = select.poll()  # select(2) knows no descriptor above 1023
        look.register(self.handle, select.POLLIN)
        return bool(look.poll(0))

    def discard(self) -> None:
        """End the session and release everything that it has."""
        self.kill()
        for descriptor in (self.handle, self.output, self.errors):
            os.close(descriptor)
        self.socket.close()
        if self.group is not None:
            self.group.give_back()


class ForkServer:
    """A fork server and the thread that talks to it.

    The thread outlives every event loop: the kernel ends a sandbox with the thread that started it.
    """

    def __init__(self, bwrap: str, libraries: Sequence[str], program: bytes) -> None:
        self._settings = {
            "become_user": bubblewrap.two_users(),
            "packages": bubblewrap.packages(),
            "libraries": list(libraries),
            "filter": program.hex(),
        }
        self._bwrap = bwrap
        self.filtered = bool(program)
        """Whether its sessions are bound by a system call filter."""
        self._requests: queue.SimpleQueue[tuple[Any, Future] | None] = queue.SimpleQueue()
        self._spares: deque[Forked] = deque()
        self._wanted: tuple[SandboxSettings, Cgroups | None] | None = None
        """The limits and control groups for which the spares are made."""
        self._over, self._gate = False, threading.Lock()
        """Whether the thread has ended and answers nobody."""
        self._started: bubblewrap.Started | None = None
        self.ready: Future[dict[str, float]] = Future()
        """The seconds that each library took to import; or StartFailed."""
        self.dead = False
        """Whether it has stopped answering; then all its sessions are gone or will be."""
        self._thread = threading.Thread(target=self._serve, name="sandbox fork server", daemon=True)
        self._thread.start()

    def _start(self) -> dict[str, float]:
        self._started = started = bubblewrap.start(self._bwrap)
        started.control.settimeout(bubblewrap.START_SECONDS)
        try:
            started.control.send(json.dumps(self._settings).encode())
            answer: dict[str, Any] = json.loads(started.control.recv(1 << 16) or b"{}")
        except (OSError, ValueError) as error:
            answer = {"error": str(error)}
        if "seconds" not in answer:
            said = answer.get("error") or bubblewrap.read_log(started.log) or "it ended without a word"
            self._end()
            raise StartFailed(f"the fork server did not come up: {said}")
        started.control.settimeout(ANSWER_SECONDS)
        return answer["seconds"]

    def _serve(self) -> None:
        try:
            self.ready.set_result(self._start())
        except BaseException as error:
            self.dead = True
            failure = error if isinstance(error, StartFailed) else StartFailed(f"{type(error).__name__}: {error}")
            self.ready.set_exception(failure)
        try:
            while (item := self._next()) is not None:
                self._answer(*item)
        finally:
            self._drop_spares()
            self._end()
            with self._gate:
                self._over = True
            while not self._requests.empty():
                if item := self._requests.get():
                    self._answer(*item)

    @staticmethod
    def _answer(work: Any, future: Future) -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    def _next(self) -> "tuple[Any, Future] | None":
        """The next request; while there is none, spares are made."""
        while self._wanted and not self.dead and self._requests.empty() and len(self._spares) < SPARES:
            try:
                self._spares.append(self._make(*self._wanted))
            except Exception:  # whoever asks next is told
                self._wanted = None
        return self._requests.get()

    def _drop_spares(self) -> None:
        while self._spares:
            spare = self._spares.popleft()
            spare.discard()
            self._reap(spare.pid)

    def _fork(self, settings: SandboxSettings, cgroups: Cgroups | None) -> Forked:
        if self._wanted != (settings, cgroups):
            self._drop_spares()
            self._wanted = (settings, cgroups)
        while self._spares:
            spare = self._spares.popleft()
            if not spare.ended():
                return spare
            spare.discard()
            self._reap(spare.pid)
        return self._make(settings, cgroups)

    def _make(self, settings: SandboxSettings, cgroups: Cgroups | None) -> Forked:
        """Fork a session. Raises StartFailed, OSError; then nothing of it is left."""
        with contextlib.ExitStack() as stack, contextlib.ExitStack() as failed:
            ours, theirs = socket.socketpair()
            failed.callback(ours.close)
            stack.callback(theirs.close)
            descriptors, ends = [theirs.fileno()], []
            for _ in range(2):
                end, other = os.pipe()
                failed.callback(os.close, end)
                stack.callback(os.close, other)
                os.set_blocking(end, False)
                ends.append(end)
                descriptors.append(other)
            group = None
            if cgroups is not None:
                group = cgroups.take()
                failed.callback(group.give_back)
                for door in group.prepare(settings):
                    stack.callback(os.close, door)
                    descriptors.append(door)
            answer, handles = self._exchange({"fork": bubblewrap.limits(settings)}, descriptors)
            if not handles:  # no descriptor was left for it; it ends when its socket is closed
                self._reap(answer["pid"])
                raise StartFailed("no descriptor was left for a session")
            ours.setblocking(False)
            failed.pop_all()
            return Forked(self, answer["pid"], handles[0], ours, ends[0], ends[1], group)

    def _reap(self, pid: int) -> int:
        with contextlib.suppress(StartFailed):
            return self._exchange({"reap": pid})[0]["status"]
        return GONE

    def _exchange(self, request: dict[str, Any], descriptors: Sequence[int] = ()) -> tuple[dict[str, Any], list[int]]:
        try:
            if self.dead or self._started is None:
                raise OSError("no more")
            socket.send_fds(self._started.control, [json.dumps(request).encode()], list(descriptors))
            packet, handles, _, _ = socket.recv_fds(self._started.control, 1 << 16, 1)
            answer = json.loads(packet)
        except (OSError, ValueError) as error:
            self.dead = True
            if self._started is not None:
                self._started.process.kill()
            raise StartFailed(f"the fork server has ended ({type(error).__name__})") from None
        if "error" in answer:
            raise StartFailed(answer["error"])
        return answer, handles

    def _end(self) -> None:
        self.dead = True
        if self._started is not None:
            self._started.control.close()
            self._started.process.kill()  # and with it, its namespace and all sessions
            self._started.process.wait()
            os.close(self._started.log)
            self._started = None

    def _ask(self, work: Any) -> Future:
        future: Future = Future()
        future.set_running_or_notify_cancel()
        with self._gate:
            if not self._over:
                self._requests.put((work, future))
                return future
        self._answer(work, future)  # the server is dead, which this says at once
        return future

    def fork(self, settings: SandboxSettings, cgroups: Cgroups | None) -> "Future[Forked]":
        """A new session with these limits, for the caller to `discard` and `reap`. Fails with StartFailed, OSError."""
        return self._ask(lambda: self._fork(settings, cgroups))

    def reap(self, forked: Forked) -> "Future[int]":
        """The exit status of a session that has ended, negative for a signal to its first process (which comes from
        outside); GONE as well when the fork server has ended."""
        return self._ask(lambda: self._reap(forked.pid))

    @property
    def pid(self) -> int:
        """The pid of bubblewrap on this machine; 0 before it has started."""
        return self._started.process.pid if self._started else 0

    def abandon(self) -> None:
        """End it with all its sessions."""
        self._requests.put(None)

    def close(self) -> None:
        """End it with all its sessions, and wait for that."""
        self.abandon()
        self._thread.join(10)


_servers: dict[tuple, ForkServer] = {}
_lock = threading.Lock()


def fork_server(bwrap: str, libraries: Sequence[str], with_filter: bool = True) -> ForkServer:
    """This process's fork server of that kind, started if necessary; `ready` tells when it is up."""
    key = (os.getpid(), bwrap, tuple(libraries), with_filter)
    with _lock:
        server = _servers.get(key)
        if server is None or server.dead:
            if server is not None:
                server.abandon()
            bubblewrap.sweep()
            server = _servers[key] = ForkServer(bwrap, libraries, seccomp.program() if with_filter else b"")
        return server


@atexit.register
def close_all() -> None:
    """End this process's fork servers."""
    for (process, *_), server in list(_servers.items()):
        if process == os.getpid():
            with contextlib.suppress(Exception):
                server.close()
    _servers.clear()
