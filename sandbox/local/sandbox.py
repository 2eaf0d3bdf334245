"""The sandbox on this machine: the contract over warm workers behind bubblewrap."""

import asyncio
import contextlib
import os
import secrets
import signal
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from records.faults import ToolInfrastructureError
from records.images.store import ImageError
from records.recipe import SandboxSettings
from records.trajectory import Outcome
from sandbox.contract import CellResult, check_files
from sandbox.inside.bounds import MAX_NOTES
from sandbox.local import worker_protocol as protocol
from sandbox.local.fork_client import fork_server
from sandbox.local.jail import Jail
from sandbox.rebuilding import ATTEMPTS, RebuildingSession, SessionFault
from sandbox.result_images import check_result_image
from sandbox.slots import SessionSlots
from sandbox.walls.bubblewrap import StartFailed
from sandbox.walls.isolation import Layers, find_layers

ANSWER = {"id", "outcome", "value", "error", "notes", "blobs"}
"""The keys of a worker's answer."""
NOTE_CHARS = 400
"""The most characters of one note."""
GRACE_SECONDS = 0.1
"""How many more seconds an answer gets that has begun to arrive at the limit, or that a busy event loop has missed."""
RESTARTED = "The session was started anew: its variables and files are gone, the images are loaded again."
"""What the model reads when its session was lost; a change counts up `description.FORMAT`."""


def _checked(head: dict, blobs: list[bytes], request: dict) -> CellResult:
    """An answer, believed as far as its form goes. Raises protocol.Hostile."""
    outcome, notes = head.get("outcome"), head.get("notes")
    if set(head) != ANSWER or head["id"] != request["id"] or outcome not in ("ok", "raised", "out_of_memory"):
        raise protocol.Hostile("an answer to another question")
    texts = [head["value"], head["error"]]
    if not all(isinstance(text, str) and len(text) <= request["limit"] + 200 for text in texts):
        raise protocol.Hostile("texts of the wrong kind or size")
    if not isinstance(notes, list) or len(notes) > MAX_NOTES:
        raise protocol.Hostile("notes of the wrong kind or number")
    if not all(isinstance(note, str) and len(note) <= NOTE_CHARS for note in notes):
        raise protocol.Hostile("notes of the wrong kind or size")
    if len(blobs) > request["images"]:
        raise protocol.Hostile("more images than allowed")
    for blob in blobs:
        try:
            check_result_image(blob)
        except ImageError as error:
            raise protocol.Hostile(str(error)) from None
    # Lone surrogates are legal in Python's strings and in JSON, and in no UTF-8 file. One character for one.
    value, error, *notes = (text.encode("utf-8", "replace").decode() for text in (*texts, *notes))
    return CellResult(outcome, value=value, error=error, images=blobs, notes=notes)


class LocalSession(RebuildingSession):
    """One namespace in which cells run one after the other, in processes of its own that nothing else shares.

    A cell that raises, MemoryError included, leaves the state as a notebook would. A cell that had to be stopped
    (`state_lost`) takes the state with it: its result says so, and the next cell runs in a fresh process. After a
    fault of ours the cells are run again on a fresh worker, and the session continues if they do what they did.
    """

    retried = (Exception,)

    def __init__(
        self,
        sandbox: "LocalSandbox",
        images: Sequence[bytes],
        files: Mapping[str, bytes],
        seed: int | None,
        on_close: "Callable[[LocalSession], None]",
    ) -> None:
        super().__init__()
        self._sandbox, self._on_close = sandbox, on_close
        self._images, self._files, self._seed = images, files, seed
        self._settings = sandbox.settings
        self._turns = sandbox.turns()
        self._jail: Jail | None = None
        self._closed = False

    async def start(self) -> None:
        """Start a worker. Raises ToolInfrastructureError after a few attempts."""
        for attempt in range(ATTEMPTS):
            try:
                self._jail = await self._sandbox.start_jail(self._images, self._files, self._seed)
                if self._broken:  # closed meanwhile
                    await self._end_worker()
                    raise ToolInfrastructureError(f"sandbox: {self._broken}")
                return
            except (StartFailed, OSError) as error:
                if attempt == ATTEMPTS - 1:
                    raise ToolInfrastructureError(f"sandbox: {error}") from error
                await asyncio.sleep(0.1 * 4**attempt)

    def _has_worker(self) -> bool:
        return self._jail is not None

    async def _end_worker(self) -> None:
        jail, self._jail = self._jail, None
        if jail is not None:
            await jail.end()

    async def _cell(self, number: int, code: str) -> CellResult:
        async with self._turns:
            return await self._cell_in_turn(number, code)

    async def _cell_in_turn(self, number: int, code: str) -> CellResult:
        """Run one cell. Raises SessionFault."""
        jail, limits = self._jail, self._settings
        if jail is None:  # closed while it waited for its turn
            raise SessionFault(self._broken)
        request = {"id": secrets.token_hex(8), "code": code, "cell": number}
        request |= {"images": limits.images_per_call, "limit": limits.output_chars}
        why: tuple[Outcome, str] = ("timed_out", f"the code ran longer than {limits.cell_timeout_s:g} seconds")
        jail.begin()
        started = time.monotonic()
        asked = asyncio.create_task(jail.ask(request))
        try:
            await asyncio.wait({asked}, timeout=limits.cell_timeout_s)
            if not asked.done() and jail.answered():
                await asyncio.wait({asked}, timeout=GRACE_SECONDS)
            seconds = time.monotonic() - started
            if asked.done():
                head, blobs = asked.result()
                check = asyncio.to_thread(_checked, head, blobs, request) if blobs else None
                result = await check if check else _checked(head, blobs, request)
                if jail.flooded():
                    why = jail.flood
                elif not jail.ran_out():
                    usage = jail.done(seconds)
                    return replace(result, stdout=jail.output.take(), stderr=jail.errors.take(), usage=usage)
                else:
                    why = jail.out_of_memory
        except protocol.Hostile as error:
            why = ("killed", f"the code interfered with the sandbox ({error})")
        except protocol.WorkerGone:
            ended = await jail.wait(1)  # so that the exit status is its own
            why = ("killed", "" if ended else "the code cut its connection to the sandbox")
        finally:
            asked.cancel()
        usage = jail.done(time.monotonic() - started)
        if jail.ran_out():
            why = jail.out_of_memory
        status = await jail.end()
        self._jail = None
        return replace(self._stopped(jail, *(jail.verdict or why), status), usage=usage)

    def _stopped(self, jail: Jail, outcome: Outcome, reason: str, status: int) -> CellResult:
        """What to say of a cell that did not come to its end."""
        if self._broken or outcome == "infrastructure":
            raise SessionFault(self._broken or reason)
        if not reason:
            if status < 0:  # its first process, which the code cannot reach
                raise SessionFault("the session was ended from outside")
            number = max(0, status - 128)
            if number == signal.SIGKILL and jail.machine_ran_out():  # its own memory was not full
                raise SessionFault("the machine ran out of memory")
            if number == signal.SIGXCPU and jail.cpu_spent():  # anyone can send a signal
                outcome, reason = "timed_out", f"a process used more than {self._settings.cpu_s} seconds of CPU time"
            else:
                how = f"by signal {number}" if number else f"with exit status {status}"
                reason = f"the interpreter ended {how} while the code ran"
        stdout, stderr = jail.last_words
        error = f"Stopped: {reason}. {RESTARTED}"
        return CellResult(outcome, stdout=stdout, stderr=stderr, error=error, state_lost=True)

    async def close(self) -> None:
        """End the session with all its processes and let the next one in. Closing twice is fine."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._give_up("the session is closed")
        finally:
            self._on_close(self)


class LocalSandbox:
    """Opens sessions, at most `settings.sessions` at once; further ones wait for their turn."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self._layers: dict[int, Layers] = {}
        """The layers by process: control groups do not pass to children that a supervisor forks."""
        self._slots: SessionSlots[LocalSession] = SessionSlots(settings.sessions)
        self._turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore]
        self._turns = weakref.WeakKeyDictionary()

    def turns(self) -> asyncio.Semaphore:
        """The bound on cells that run at once: with too few cores, cells would hit their limits because of us."""
        cells = self.settings.cells or 2 * (os.cpu_count() or 1)
        return self._turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(cells))

    async def layers(self) -> Layers:
        """What isolates the sessions here. Raises SandboxUnavailable below the recipe's minimum."""
        if os.getpid() not in self._layers:
            self._layers[os.getpid()] = await find_layers(self.settings)
        return self._layers[os.getpid()]

    async def start_jail(self, images: Sequence[bytes], files: Mapping[str, bytes], seed: int | None) -> Jail:
        """A worker for a session. Raises StartFailed, OSError."""
        layers = await self.layers()
        server = fork_server(layers.bwrap, self.settings.libraries, layers.seccomp)
        await asyncio.shield(asyncio.wrap_future(server.ready))
        return await Jail.start(server, self.settings, images, files, layers.cgroups, seed)

    async def open(
        self, images: Sequence[bytes] = (), files: Mapping[str, bytes] | None = None, seed: int | None = None
    ) -> LocalSession:
        """See the contract."""
        check_files(images, files or {})
        await self.layers()
        return await self._slots.open(lambda: LocalSession(self, images, files or {}, seed, self._slots.free))

    @property
    def sessions(self) -> tuple[LocalSession, ...]:
        """The sessions that are open."""
        return self._slots.sessions

    async def close(self) -> None:
        """Close all sessions that are still open."""
        for session in self.sessions:
            with contextlib.suppress(Exception):
                await session.close()
