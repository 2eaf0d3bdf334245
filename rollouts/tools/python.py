"""The Python tool: code runs in a stateful, isolated session; images are preloaded as image_1, image_2, ..."""

import asyncio
from collections.abc import Sequence
from typing import Any

from records.faults import ToolInfrastructureError
from records.identity import content_hash, hashed
from records.images.store import ImageStore
from records.recipe import SandboxSettings
from records.trajectory import ToolResult
from rollouts.tools import Tool, ToolContext
from sandbox import CellResult, Sandbox, SandboxDescription, Session, build_sandbox, check_sandbox

SECTION = "sandbox"
"""The section of the recipe that holds the tool's settings."""
Options = SandboxSettings
MAX_CODE = 100_000
"""The most characters of code that one call may have."""
FORMAT = 2
"""The version of the text of a result: count it up when that changes."""
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"code": {"type": "string", "description": "The Python code to run."}},
    "required": ["code"],
    "additionalProperties": False,
}
"""The JSON schema of the arguments."""
NO_OUTPUT = "(no output: use print(), or end with an expression, to see a value)"


def describe(settings: SandboxSettings) -> str:
    """The description that the model reads. It depends on the recipe alone and is the same on every machine."""
    return (
        "Run Python code and see what it prints and the value of its last expression. Variables are kept from one "
        "call to the next. The images of the question are there as PIL images named image_1, image_2, and so on. "
        "Images and figures are returned if the code displays them, ends with them, or saves them to a file. "
        f"Libraries: {', '.join(settings.libraries) or 'the standard library alone'}. "
        f"No network; at most {settings.cell_timeout_s:g} seconds per call and {settings.memory_mb} MB of memory."
    )


def _size(png: bytes) -> tuple[int, int]:
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def _line(png: bytes, hindrance: str) -> str:
    width, height = _size(png)
    return f"[image of {width}x{height} pixels{f': not shown, {hindrance}' if hindrance else ''}]"


def _hindrance(png: bytes, settings: SandboxSettings) -> str:
    """Why a model may refuse an image of this shape; empty if none does."""
    shorter, longer = sorted(_size(png))
    if shorter < settings.image_min_side:
        return f"the shorter side needs at least {settings.image_min_side} pixels"
    if longer > shorter * settings.image_max_aspect:
        return f"the sides may be at most {settings.image_max_aspect:g} to 1"
    return ""


def render(result: CellResult, hindrances: Sequence[str]) -> str:
    """What the model reads of a result: stdout, the last value, stderr, images, then the error if there was one.

    Args:
        hindrances: why each image is not shown; empty for one that is.
    """
    images = map(_line, result.images, hindrances)
    parts = [result.stdout, result.value, result.stderr, *images, *result.notes, result.error]
    text = "\n".join(part.rstrip("\n") for part in parts if part.strip("\n"))
    return text or NO_OUTPUT


class PythonSession:
    """The tool in the hands of one rollout; the sandbox is opened by the first call.

    Args:
        settings: which shapes of images are shown.
    """

    def __init__(
        self, sandbox: Sandbox, settings: SandboxSettings, store: ImageStore, images: list[str], seed: int | None
    ) -> None:
        self._sandbox, self._settings, self._store = sandbox, settings, store
        self._images, self._seed = images, seed
        self._session: Session | None = None
        self._closed = False

    async def call(self, arguments: dict[str, Any]) -> ToolResult:
        """Run `arguments["code"]`. Raises ToolInfrastructureError, SandboxUnavailable."""
        if fault := _fault(arguments):
            return ToolResult(outcome="invalid_call", text=fault)
        if self._closed:
            raise ToolInfrastructureError("python: the session is closed")
        if self._session is None:
            try:
                self._session = await self._sandbox.open(await asyncio.to_thread(self._load), seed=self._seed)
            except ValueError as error:  # more than a session takes
                raise ToolInfrastructureError(f"python: {error}") from error
        result = await self._session.run(arguments["code"])
        if result.outcome == "infrastructure":
            await self.close()
            raise ToolInfrastructureError(f"python: {result.error}")
        hindrances = [_hindrance(png, self._settings) for png in result.images]
        shown = [png for png, hindrance in zip(result.images, hindrances, strict=True) if not hindrance]
        try:
            hashes = [await asyncio.to_thread(self._store.put, png) for png in shown]
        except OSError as error:
            await self.close()  # the cell has run: it must not run again in the same session
            raise ToolInfrastructureError(f"python: a result image cannot be stored: {error}") from error
        text = render(result, hindrances)
        return ToolResult(outcome=result.outcome, text=text, images=hashes, seconds=result.usage.seconds)

    def _load(self) -> list[bytes]:
        try:
            return [self._store.get(image) for image in self._images]
        except OSError as error:
            raise ToolInfrastructureError(f"python: an image of the question cannot be read: {error}") from error

    async def close(self) -> None:
        self._closed = True
        if self._session is not None:
            await self._session.close()
            self._session = None


def _fault(arguments: dict[str, Any]) -> str:
    """What is wrong with the arguments; an empty text if nothing is."""
    if not isinstance(arguments, dict) or "code" not in arguments:
        return 'Invalid call: the tool python needs the argument "code", a string of Python code.'
    if unknown := sorted(set(arguments) - {"code"}):
        return f'Invalid call: unknown argument {unknown[0]!r}; the tool python takes "code" alone.'
    code = arguments["code"]
    if not isinstance(code, str):
        return f'Invalid call: "code" must be a string, not {type(code).__name__}.'
    if not code.strip():
        return 'Invalid call: "code" is empty.'
    if len(code) > MAX_CODE:
        return f'Invalid call: "code" has {len(code)} characters; at most {MAX_CODE} are taken.'
    return ""


class PythonInSandbox:
    """Python, as it is offered to a model."""

    name = "python"

    def __init__(self, settings: SandboxSettings, store: ImageStore, description: SandboxDescription) -> None:
        self._sandbox, self._settings, self._store = build_sandbox(settings), settings, store
        self.description, self.parameters = describe(settings), PARAMETERS
        # How many run side by side, where, and behind which further walls, changes no result.
        limits = hashed(settings, leaving_out={"sessions", "cells", "servers", "minimum", "isolation"})
        self.version = content_hash([FORMAT, limits, description.version])

    def open(self, images: list[str], seed: int | None = None) -> PythonSession:
        """A new session. Nothing is started before its first call."""
        return PythonSession(self._sandbox, self._settings, self._store, images, seed)


def build(options: SandboxSettings, context: ToolContext) -> Tool:
    """The Python tool over a sandbox whose isolation has been proved.

    Raises:
        SandboxUnavailable: model-written code cannot be isolated here, or on the servers that the recipe names.
    """
    return PythonInSandbox(options, context.images, check_sandbox(options))
