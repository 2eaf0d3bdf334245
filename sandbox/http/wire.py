"""The bytes of the sandbox's HTTP API (docs/sandbox-server.md). Both ends write and check them here.

A body that carries files is a frame: the length of a JSON object (4 bytes, big-endian), the object as UTF-8, then the
files' bytes one after the other; the object's `blobs` lists their lengths. So images travel as they are: base64 in JSON
would add a third. All other bodies are JSON objects.
"""

import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeGuard, cast, get_args

from pydantic import ValidationError

from records.images.store import ImageError
from records.recipe import SandboxSettings
from records.recipe.section import explain
from records.trajectory import Outcome
from sandbox.contract import MAX_FILE_BYTES, CellResult, SandboxUnavailable, Usage
from sandbox.description import SandboxDescription
from sandbox.inside.bounds import MAX_NOTES
from sandbox.result_images import check_result_image

FRAME = "application/x-touchstone-frame"
"""The media type of a frame."""
JSON = "application/json"
"""The media type of all other bodies."""
API = 2
"""The version of the API; count up when older clients no longer work with it."""
MAX_HEAD_BYTES = 8 << 20
"""The most bytes of a frame's JSON object, and of any other JSON body."""
MAX_OPEN_BYTES = MAX_FILE_BYTES + (1 << 20)
"""The most bytes of the body that opens a session."""
MAX_ANSWER_BYTES = MAX_HEAD_BYTES + (64 << 20)
"""The most bytes of the answer to a cell."""
MAX_IMAGES = 1000
"""The most images of a session, and the most files."""
SLACK_CHARS = 1000
"""How many characters a text of an answer may have beyond `output_chars`: it says what was cut or stopped, and why."""
LIMITS = (
    "cell_timeout_s", "cpu_s", "cpus", "memory_mb", "processes", "output_chars", "images_per_call", "libraries"
)  # fmt: skip
"""The settings that a client may ask for, none above the server's own."""
TOKEN_VARIABLE = "TOUCHSTONE_SANDBOX_TOKEN"
"""The environment variable in which both ends find the token."""
TOKEN_CHARS = 16
"""How many characters the token has at least."""


class Malformed(ValueError):
    """Bytes that do not follow this API."""


@dataclass(frozen=True)
class Load:
    """How busy a server is, in sessions."""

    open: int = 0
    waiting: int = 0
    """The sessions that wait for an open one to end."""
    capacity: int = 1
    """The most sessions that are open at once."""


def check_token(token: str) -> str:
    """The token, if it can be one. Raises SandboxUnavailable."""
    if len(token) < TOKEN_CHARS or not all("!" <= sign <= "~" for sign in token):
        what = "is not set" if not token else f"needs at least {TOKEN_CHARS} characters of ASCII without spaces"
        how = "python -c 'import secrets; print(secrets.token_urlsafe())'"
        raise SandboxUnavailable(
            f"sandbox: {TOKEN_VARIABLE} {what}. Server and clients need the same secret in it; {how} makes one"
        )
    return token


def token_from_environment() -> str:
    """The token of this process's environment. Raises SandboxUnavailable."""
    return check_token(os.environ.get(TOKEN_VARIABLE, ""))


def pack(head: Mapping[str, Any], blobs: Sequence[bytes]) -> bytes:
    """A frame."""
    text = json.dumps({**head, "blobs": [len(blob) for blob in blobs]}).encode()
    return b"".join([len(text).to_bytes(4, "big"), text, *blobs])


def read_json(body: bytes | bytearray | memoryview) -> dict[str, Any]:
    """A JSON object. Raises Malformed."""
    if len(body) > MAX_HEAD_BYTES:
        raise Malformed(f"{len(body)} bytes of JSON; at most {MAX_HEAD_BYTES} are accepted")
    try:
        value = json.loads(bytes(body))
    except (ValueError, RecursionError):
        raise Malformed("a body that is not JSON") from None
    if not isinstance(value, dict):
        raise Malformed(f"a JSON {type(value).__name__} where an object is expected")
    return value


def unpack(body: bytes | bytearray) -> tuple[dict[str, Any], list[bytes]]:
    """The object and the files of a frame. Raises Malformed."""
    view = memoryview(body)
    size = int.from_bytes(view[:4], "big")
    if len(view) < 4 or size > len(view) - 4:
        raise Malformed("a frame shorter than it says")
    head = read_json(view[4 : 4 + size])
    sizes = head.pop("blobs", None)
    if not isinstance(sizes, list) or not all(type(part) is int and part >= 0 for part in sizes):
        raise Malformed("a frame without the lengths of its files")
    if sum(sizes) != len(view) - 4 - size:
        raise Malformed("a frame whose lengths do not add up")
    blobs, start = [], 4 + size
    for part in sizes:
        blobs.append(bytes(view[start : start + part]))
        start += part
    return head, blobs


def _texts(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(text, str) and len(text) <= 200 for text in value)


def limits_of(settings: SandboxSettings) -> dict[str, Any]:
    """What a client asks for, or what a server allows."""
    return {name: value for name, value in settings.model_dump(mode="json").items() if name in LIMITS}


def excess(wanted: Mapping[str, Any], most: Mapping[str, Any]) -> str:
    """Which limits are above the most allowed, and what that is; empty if none is."""
    found = []
    for name in (name for name in LIMITS if name in wanted and name in most):
        if isinstance(wanted[name], int | float):
            if wanted[name] > most[name]:
                found.append(f"{name} is {wanted[name]:.15g}, at most {most[name]:.15g} is allowed")
        elif lacking := sorted(set(wanted[name]) - set(most[name])):
            found.append(f"{name}: {', '.join(lacking)} is not available, only {', '.join(most[name]) or 'none'}")
    return "; ".join(found)


def pack_status(description: SandboxDescription, settings: SandboxSettings, load: Load) -> dict[str, Any]:
    """A server's answer about itself."""
    return {"api": API, **asdict(description), "limits": limits_of(settings), "sessions": asdict(load)}


def read_load(head: Mapping[str, Any]) -> Load:
    """How busy the server is, from the answers that say so. Raises Malformed."""
    numbers = head.get("sessions")
    names = [part.name for part in fields(Load)]
    if not isinstance(numbers, dict) or not all(type(numbers.get(name)) is int for name in names):
        raise Malformed("an answer without the number of sessions")
    load = Load(**{name: max(0, min(numbers[name], 1 << 31)) for name in names})
    return replace(load, capacity=max(1, load.capacity))


def read_status(head: Mapping[str, Any]) -> tuple[SandboxDescription, dict[str, Any], Load]:
    """What a server tells about itself, its limits, and how busy it is. Raises Malformed."""
    if head.get("api") != API:
        raise Malformed(f"it uses version {head.get('api')!r} of the API, this client uses {API}")
    layers, libraries, limits = (head.get(name) for name in ("layers", "libraries", "limits"))
    if not _texts([head.get("version"), head.get("python")]) or not _texts(layers):
        raise Malformed("a status without version, python and layers")
    if not isinstance(libraries, dict) or not _texts([*libraries.values()]) or not isinstance(limits, dict):
        raise Malformed("a status with wrong libraries or limits")
    for name, value in limits.items():
        if name in LIMITS and not (_texts(value) if name == "libraries" else type(value) in (int, float)):
            raise Malformed(f"a status whose limit {name} is {value!r:.100}")
    return SandboxDescription(head["version"], tuple(layers), head["python"], libraries), limits, read_load(head)


def new_session() -> str:
    """An id that nobody can guess."""
    return secrets.token_urlsafe(24)


def check_session(session: Any) -> str:
    """An id as whoever opens a session may choose it: too long to guess, and fit for a path. Raises Malformed."""
    if not isinstance(session, str) or not re.fullmatch(r"[A-Za-z0-9_-]{22,100}", session):
        raise Malformed("a session's id is 22 to 100 random letters, digits, - and _")
    return session


def pack_opening(
    images: Sequence[bytes], files: Mapping[str, bytes], settings: SandboxSettings, seed: int | None = None
) -> bytes:
    """The body that opens a session."""
    head = {"images": len(images), "files": list(files), "limits": limits_of(settings), "seed": seed}
    return pack(head, [*images, *files.values()])


def read_opening(
    body: bytes | bytearray, most: SandboxSettings
) -> tuple[list[bytes], dict[str, bytes], SandboxSettings, int | None]:
    """Images, files, limits and seed of a session to be opened; missing limits are the server's.

    Raises:
        Malformed: also for limits that no settings can have. Whether they are allowed is not checked.
    """
    head, blobs = unpack(body)
    count, names, limits = head.get("images", 0), head.get("files", []), head.get("limits", {})
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise Malformed("files must be a list of different names")
    if len(names) > MAX_IMAGES:
        raise Malformed(f"{len(names)} files; at most {MAX_IMAGES} are accepted")
    if type(count) is not int or not 0 <= count <= MAX_IMAGES or count + len(names) != len(blobs):
        raise Malformed(f"{len(blobs)} parts came, which is not the announced number of images and files")
    if not isinstance(limits, dict) or set(limits) - set(LIMITS):
        raise Malformed(f"limits must be an object with no other keys than {', '.join(LIMITS)}")
    seed = head.get("seed")
    if seed is not None and (type(seed) is not int or not 0 <= seed < 1 << 63):
        raise Malformed("a seed is a whole number from 0 and below 2**63")
    try:
        wanted = SandboxSettings.model_validate({**most.model_dump(), **limits})
    except ValidationError as error:
        raise Malformed(explain(error, SandboxSettings, "limits")) from None
    return blobs[:count], dict(zip(names, blobs[count:], strict=True)), wanted, seed


def read_cell(body: bytes | bytearray) -> tuple[int, str]:
    """The number and the code of a cell to run. Raises Malformed."""
    head = read_json(body)
    number, code = head.get("cell"), head.get("code")
    if type(number) is not int or number < 1 or not isinstance(code, str) or len(head) > 2:
        raise Malformed("a cell needs its number, from 1, and its code, and nothing else")
    return number, code


def pack_result(result: CellResult) -> bytes:
    """A cell's answer."""
    head = {part.name: getattr(result, part.name) for part in fields(result) if part.name != "images"}
    return pack(head | {"usage": asdict(result.usage)}, result.images)


def _usage(value: Any) -> Usage:
    """Usage in which every value that is not a possible number is 0."""
    numbers = {}
    for part in fields(Usage):
        number = value.get(part.name) if isinstance(value, dict) else None
        if number is not None and type(number) in (int, float) and 0 <= number < 1 << 62:
            numbers[part.name] = type(part.default)(number)
    return Usage(**numbers)


def read_result(head: Mapping[str, Any], blobs: list[bytes], settings: SandboxSettings) -> CellResult:
    """A cell's answer, believed as far as its form goes. Decodes its images: call it in a thread. Raises Malformed."""
    outcome, notes, most = head.get("outcome"), head.get("notes"), settings.output_chars + SLACK_CHARS
    names = ("stdout", "stderr", "value", "error")
    texts = [*(head.get(name) for name in names), *(notes if isinstance(notes, list) else [None])]
    if outcome not in get_args(Outcome) or outcome == "invalid_call" or not isinstance(head.get("state_lost"), bool):
        raise Malformed("an answer without a valid outcome")
    if not all(isinstance(text, str) and len(text) <= most for text in texts) or len(texts) - 4 > MAX_NOTES:
        raise Malformed("an answer with texts of the wrong kind or size")
    if len(blobs) > settings.images_per_call:
        raise Malformed("an answer with more images than allowed")
    for blob in blobs:
        try:
            check_result_image(blob)
        except ImageError as error:
            raise Malformed(f"an answer with a broken image: {error}") from None
    # Lone surrogates are legal in Python's strings and in JSON, and in no UTF-8 file.
    texts = [text.encode("utf-8", "backslashreplace").decode() for text in texts]
    result = CellResult(cast(Outcome, outcome), **dict(zip(names, texts, strict=False)), notes=texts[4:], images=blobs)
    return replace(result, usage=_usage(head.get("usage")), state_lost=head["state_lost"])
