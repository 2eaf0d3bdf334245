"""Sandboxes and their sessions, as the tools use them."""

import asyncio
import contextlib
import secrets
import signal
import time
import weakref
from dataclasses import dataclass, field, replace

from records.images import ImageError, check_image
from records.recipe import Sandbox as Settings
from records.trajectory import Outcome
from rollouts.sandbox import bubblewrap, probe, protocol, worker
from rollouts.sandbox.jail import Jail
from rollouts.tools import ToolInfrastructureError

PNG = b"\x89PNG\r\n\x1a\n"
GRACE_SECONDS = 0.1
RESTARTED = "The session was started anew: its variables and files are gone, the images are loaded again."


@dataclass(frozen=True)
class CellResult:
    """What one cell did."""

    outcome: Outcome
    """ok, raised, timed_out, out_of_memory or killed."""
    stdout: str = ""
    stderr: str = ""
    """What was printed, by the code and its children, also when the code was stopped midway."""
    value: str = ""
    """Of the last expression, as a notebook shows it."""
    error: str = ""
    """The traceback, the cells' frames alone; or why the code was stopped."""
    images: list[bytes] = field(default_factory=list)
    """PNG files."""
    notes: list[str] = field(default_factory=list)
    """What was left out or changed about the images."""
    seconds: float = 0.0
    state_lost: bool = False
    """The session's processes are gone; the next cell runs in a fresh one."""


def _checked(head: dict, blobs: list[bytes], request: dict) -> CellResult:
    """An answer, believed as far as its form goes. Raises protocol.Hostile."""
    outcome, notes = head.get("outcome"), head.get("notes")
    texts = [head.get("value"), head.get("error"), *(notes if isinstance(notes, list) else [None])]
    if head.get("id") != request["id"] or outcome not in ("ok", "raised", "out_of_memory"):
        raise protocol.Hostile("an answer to another question")
    if not all(isinstance(text, str) and len(text) <= request["limit"] + 200 for text in texts) or len(notes) > 100:
        raise protocol.Hostile("texts of the wrong kind or size")
    if len(blobs) > request["images"]:
        raise protocol.Hostile("more images than allowed")
    for blob in blobs:
        width, height = int.from_bytes(blob[16:20], "big"), int.from_bytes(blob[20:24], "big")
        if not blob.startswith(PNG) or width * height > worker.MAX_PIXELS:
            raise protocol.Hostile("an image that is no PNG or too large")
        try:
            check_image(blob)
        except ImageError as error:
            raise protocol.Hostile(str(error)) from None
    # Lone surrogates are legal in Python's strings and in JSON, and in no UTF-8 file.
    value, error, *notes = (text.encode("utf-8", "backslashreplace").decode() for text in texts)
    return CellResult(outcome, value=value, error=error, images=blobs, notes=notes)


class Session:
    """One namespace in which cells run one after the other, in a process of its own that nothing else shares.

    A cell that raises, MemoryError included, leaves the state as a notebook would. A cell that had to be stopped
    (`state_lost`) takes the state with it: its result says so, and the next cell runs in a fresh process.
    """

    def __init__(self, sandbox: "Sandbox", images: list[bytes], slot: asyncio.Semaphore) -> None:
        self._sandbox, self._images, self._slot = sandbox, images, slot
        self._settings = sandbox.settings
        self._jail: Jail | None = None
        self._cells, self._closed = 0, False
        self._broken = ""
        """Why no further cell is taken."""
        self._one = asyncio.Lock()

    async def _start(self) -> Jail:
        try:
            self._jail = await Jail.start(self._sandbox.bwrap, self._settings, self._images)
        except (bubblewrap.StartFailed, OSError) as error:
            raise ToolInfrastructureError(f"sandbox: {error}") from error
        return self._jail

    async def run(self, code: str) -> CellResult:
        """Run a cell; the code is handed to the compiler exactly as given.

        Raises:
            ToolInfrastructureError: the sandbox could not be started (trying again is fine), or a fault of ours or a
                cancellation took the state away (the session takes no further cells), or the session is closed.
        """
        async with self._one:
            if self._broken:
                raise ToolInfrastructureError(f"sandbox: {self._broken}")
            jail = self._jail or await self._start()
            if self._broken:  # closed while it started
                await jail.end()
                raise ToolInfrastructureError(f"sandbox: {self._broken}")
            self._cells += 1
            started = time.monotonic()
            try:
                result = await self._ask(jail, code)
            except BaseException:
                self._broken = self._broken or "the session was given up in the middle of a cell"
                self._jail = None
                await jail.end()
                raise
            return replace(result, seconds=time.monotonic() - started)

    async def _ask(self, jail: Jail, code: str) -> CellResult:
        limits = self._settings
        request = {"id": secrets.token_hex(8), "code": code, "cell": self._cells}
        request |= {"images": limits.images_per_call, "limit": limits.output_chars}
        why: tuple[Outcome, str] = ("timed_out", f"the code ran longer than {limits.cell_timeout_s:g} seconds")
        asked = asyncio.create_task(jail.ask(request))
        try:
            await asyncio.wait({asked}, timeout=limits.cell_timeout_s)
            # An answer that came in time is taken even where a busy event loop looks for it late.
            await asyncio.wait({asked}, timeout=GRACE_SECONDS)
            if asked.done():
                result = await asyncio.to_thread(_checked, *asked.result(), request)
                return replace(result, stdout=jail.output.take(), stderr=jail.errors.take())
        except protocol.Hostile as error:
            why = ("killed", f"the code interfered with the sandbox ({error})")
        except protocol.WorkerGone:
            await jail.wait(1)  # so that the exit status is its own
            why = ("killed", "")
        finally:
            asked.cancel()
        self._jail = None
        status = await jail.end()
        return self._stopped(jail, *(jail.verdict or why), status)

    def _stopped(self, jail: Jail, outcome: Outcome, reason: str, status: int) -> CellResult:
        """What to say of a cell that did not come to its end."""
        if self._broken or outcome == "infrastructure":
            raise ToolInfrastructureError(f"sandbox: {reason or self._broken}")
        if not reason:
            number = max(0, status - 128)
            if number == signal.SIGXCPU:
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
        self._broken = "the session is closed"
        try:
            if self._jail is not None:
                await self._jail.end()
        finally:
            self._jail = None
            self._slot.release()
            self._sandbox.sessions.discard(self)

    async def __aenter__(self) -> "Session":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class Sandbox:
    """Opens sessions, at most `settings.sessions` at once; further ones wait for their turn."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.bwrap = ""
        self.sessions: set[Session] = set()
        self._slots: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore]
        self._slots = weakref.WeakKeyDictionary()

    async def open(self, images: list[bytes]) -> Session:
        """A session with `image_1`, `image_2`, ... loaded. Its process starts with its first cell.

        Raises:
            SandboxUnavailable: the isolation cannot be had on this machine; nothing was run.
        """
        if not self.bwrap:
            self.bwrap = await probe.find_isolation(self.settings)
        slot = self._slots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(self.settings.sessions))
        await slot.acquire()
        session = Session(self, images, slot)
        self.sessions.add(session)
        return session

    async def close(self) -> None:
        """Close all sessions that are still open."""
        for session in list(self.sessions):
            with contextlib.suppress(Exception):
                await session.close()
