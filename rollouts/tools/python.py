"""The Python tool: code runs in a stateful, isolated session; images are preloaded as image_1, image_2, ..."""

import asyncio
from typing import Any

from records.faults import ToolInfrastructureError
from records.identity import content_hash, hashed
from records.images.store import ImageStore
from records.recipe import SandboxSettings
from records.trajectory import ToolResult
from rollouts.tools import Tool, ToolContext
from sandbox import About, CellResult, Sandbox, Session, build_sandbox, check_sandbox

SECTION = "sandbox"
"""The section of the recipe that holds the tool's settings."""
Options = SandboxSettings
MAX_CODE = 100_000
"""The most characters of code that one call may have."""
FORMAT = 1
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
        "An image or figure that the code ends with, or gives to display(), comes back. "
        "So does an image file that it saves. "
        f"Libraries: {', '.join(settings.libraries) or 'the standard library alone'}. "
        f"No network; at most {settings.cell_timeout_s:g} seconds a call and {settings.memory_mb} MB of memory."
    )


def _size(png: bytes) -> str:
    return f"{int.from_bytes(png[16:20], 'big')}x{int.from_bytes(png[20:24], 'big')}"


def render(result: CellResult) -> str:
    """What the model reads of a result: stdout, the last value, stderr, images, then the error if there was one."""
    images = [f"[image of {_size(png)} pixels]" for png in result.images]
    parts = [result.stdout, result.value, result.stderr, *images, *result.notes, result.error]
    text = "\n".join(part.rstrip("\n") for part in parts if part.strip("\n"))
    return text or NO_OUTPUT


class PythonSession:
    """The tool in the hands of one rollout; the sandbox is opened by the first call."""

    def __init__(self, sandbox: Sandbox, store: ImageStore, images: list[str]) -> None:
        self._sandbox, self._store, self._images = sandbox, store, images
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
                self._session = await self._sandbox.open(await asyncio.to_thread(self._load))
            except ValueError as error:  # more than a session takes
                raise ToolInfrastructureError(f"python: {error}") from error
        result = await self._session.run(arguments["code"])
        if result.outcome == "infrastructure":
            await self.close()
            raise ToolInfrastructureError(f"python: {result.error}")
        try:
            hashes = [await asyncio.to_thread(self._store.put, png) for png in result.images]
        except OSError as error:
            await self.close()  # the cell has run: it must not run again in the same session
            raise ToolInfrastructureError(f"python: a result image cannot be stored: {error}") from error
        return ToolResult(outcome=result.outcome, text=render(result), images=hashes, seconds=result.usage.seconds)

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

    def __init__(self, settings: SandboxSettings, store: ImageStore, about: About) -> None:
        self._sandbox, self._store = build_sandbox(settings), store
        self.description, self.parameters = describe(settings), PARAMETERS
        # How many run side by side, where, and behind which further walls, changes no result.
        limits = hashed(settings, leaving_out={"sessions", "cells", "servers", "minimum", "isolation"})
        self.version = content_hash([FORMAT, limits, about.version])

    def open(self, images: list[str]) -> PythonSession:
        """A new session. Nothing is started before its first call."""
        return PythonSession(self._sandbox, self._store, images)


def build(options: SandboxSettings, context: ToolContext) -> Tool:
    """The Python tool over a sandbox whose isolation has been proved.

    Raises:
        SandboxUnavailable: model-written code cannot be isolated here, or on the servers that the recipe names.
    """
    return PythonInSandbox(options, context.images, check_sandbox(options))
