"""What a sandbox is, wherever it runs. The agent loop, the tools and the RL environments only know this page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Protocol, Self

from records.trajectory import Outcome

MAX_FILE_BYTES = 32 << 20
"""The most bytes of files and images for one session together; its temporary folder holds twice as much."""


class SandboxUnavailable(RuntimeError):
    """The isolation that was asked for is not available; nothing was run. Trying again does not help."""


@dataclass(frozen=True)
class Usage:
    """What one cell used, as seen from outside (never as the code reports it)."""

    seconds: float = 0.0
    """Wall-clock time, without the time the cell waited for its turn."""
    cpu_s: float = 0.0
    """CPU seconds of all the session's processes during the cell."""
    memory_bytes: int = 0
    """The most memory that the session was seen to use beyond the warm libraries."""
    processes: int = 0
    """The most processes and threads that were seen, the interpreter included."""


@dataclass(frozen=True)
class CellResult:
    """What one cell did."""

    outcome: Outcome
    """ok, raised, timed_out, out_of_memory, killed; or infrastructure: a fault of ours, which says nothing about the
    code, and after which the session takes no further cell."""
    stdout: str = ""
    stderr: str = ""
    """What was printed, by the code and its children, also when the code was stopped midway."""
    value: str = ""
    """The value of the last expression, as a notebook shows it."""
    error: str = ""
    """The traceback, the cells' frames alone; or why the code was stopped."""
    images: list[bytes] = field(default_factory=list)
    """PNG files in RGB or grey, without transparency: what was displayed and shown, in order, an image as last value,
    figures still open, image files that the cell saved."""
    notes: list[str] = field(default_factory=list)
    """What was left out or changed about the images."""
    usage: Usage = field(default_factory=Usage)
    state_lost: bool = False
    """The session's processes are gone; the next cell runs in a fresh one."""


class Session(Protocol):
    """One namespace in which cells run one after the other, shared with nobody."""

    async def run(self, code: str) -> CellResult:
        """Run a cell; the compiler gets the code unchanged. Faults of ours are the outcome
        `infrastructure`, after retries on fresh workers; nothing is raised for them."""
        ...

    async def close(self) -> None:
        """End the session with all its processes. Closing twice is fine."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...


class Sandbox(Protocol):
    """Opens sessions; those beyond its bound wait for their turn."""

    async def open(
        self, images: Sequence[bytes] = (), files: Mapping[str, bytes] | None = None, seed: int | None = None
    ) -> Session:
        """A warm session with `image_1`, `image_2`, ... loaded and the files in its working folder.

        Args:
            seed: what random numbers start from: sessions with one seed draw the same. None: from the system.

        Raises:
            SandboxUnavailable: the isolation is not available; nothing was run.
            ToolInfrastructureError: no session could be started, after retries.
            ValueError: a file's name leads out of the folder, or the images and files are too large.
        """
        ...

    async def close(self) -> None:
        """Close all sessions that are still open."""
        ...


def check_files(images: Sequence[bytes], files: Mapping[str, bytes]) -> None:
    """Check that a session can take these images and files. Raises ValueError."""
    for name in files:
        path = PurePosixPath(name)
        if not name or path.is_absolute() or ".." in path.parts or "\0" in name or not path.name or len(name) > 200:
            raise ValueError(f"a session's file needs a relative name without '..', not {name!r}")
    size = sum(map(len, images)) + sum(map(len, files.values()))
    if size > MAX_FILE_BYTES:
        raise ValueError(f"{size} bytes of images and files for one session; at most {MAX_FILE_BYTES} are allowed")
