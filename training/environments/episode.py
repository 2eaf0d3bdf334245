"""One episode of a trainer: the python tool's own session, with the images of the trainer's row.

A call goes through the very session that curated the data (rollouts.tools.python), so that what the policy reads is
what was read there, the words for malformed arguments included.
"""

import asyncio
import base64
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, cast

from PIL import Image
from pydantic import ValidationError

from records.faults import ToolInfrastructureError
from records.images.store import ImageError, ImageStore, check_image
from records.question import Question
from records.recipe import SandboxSettings
from records.trajectory import ToolResult
from rollouts.tools import session_seed
from rollouts.tools.python import PythonSession
from sandbox.contract import Sandbox, check_files

_PNG_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"}


class SandboxFault(BaseException):
    """A fault of ours cut an episode off; `passing` says whether another try can help.

    No Exception, on purpose: trainers hand every Exception of a tool to the policy, as its own mistake.
    """

    def __init__(self, message: str, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing

    @classmethod
    def of(cls, error: Exception) -> Self:
        """What whatever a call raised comes to."""
        message = f"python: a fault of the sandbox, not of the policy: {type(error).__name__}: {error}"
        return cls(message, isinstance(error, ToolInfrastructureError))


class _RowImages:
    """What a PythonSession needs of an image store, in memory: a row's images, and those that the last call made."""

    def __init__(self, given: list[bytes]) -> None:
        self._given = {str(number): data for number, data in enumerate(given)}
        self.made: list[bytes] = []

    def get(self, image: str) -> bytes:
        return self._given[image]

    def put(self, data: bytes) -> str:
        self.made.append(data)
        return str(len(self.made))


class Episode:
    """A session that is opened by the first call, for one trajectory.

    Args:
        settings: the recipe's `sandbox`.
        images: files of any format that PIL reads; image_1, image_2, ... of the session.
        seed: what the session's random numbers start from.
    """

    def __init__(
        self, sandbox: Sandbox, settings: SandboxSettings, images: list[bytes], seed: int | None = None
    ) -> None:
        self._images = _RowImages(images)
        names = [str(number) for number in range(len(images))]
        self._session = PythonSession(sandbox, settings, cast(ImageStore, self._images), names, seed)
        self._one = asyncio.Lock()
        self._owner = os.getpid()

    async def call(self, arguments: Any) -> tuple[ToolResult, list[bytes]]:
        """The result, and the PNG files that it shows (the result's own names for them lead nowhere).

        Raises:
            Exception: a fault of ours, whichever it is: what the model did wrong is an outcome of the result.
        """
        async with self._one:  # a turn can hold several calls
            self._images.made = []
            result = await self._session.call(arguments)
            return result, self._images.made

    async def close(self) -> None:
        """End the session. A forked child's copy does nothing: the session is its parent's."""
        if os.getpid() == self._owner:
            await self._session.close()


def row_images(row: Mapping[str, Any], store: ImageStore | None = None) -> list[bytes]:
    """The images of a row as files.

    Args:
        row: has the column `question` (a Question as JSON text), whose images are in `store`; or `images`, or `image`,
            or image blocks in the `prompt`: files as bytes, mappings with `bytes`, `image`, `path` or `image_url`,
            paths, data URIs, PIL images, arrays of pixels. A row without them has none.

    Raises:
        ValueError: something else, or no image that can be decoded, or more than one session takes, or a question's
            images are neither in the row nor in a store.
        FileNotFoundError: a path or a hash that leads to nothing.
    """
    question = _question(row)
    if question is not None and store is not None:
        files = [store.get(image) for image in question.images]
    else:
        files = [_file(image) for image in _given(row)]
        if question is not None and question.images and not files:
            raise ValueError(f"the question has {len(question.images)} images and its row none: give images_root")
    check_files(files, {})
    return files


def row_seed(row: Mapping[str, Any]) -> int | None:
    """The seed of a row's sessions: its column `seed` as exported, or that of its question; None for rows that have
    neither. Raises ValueError: the column holds something else."""
    if row.get("seed") is not None:
        return int(row["seed"])
    question = _question(row)
    return None if question is None else session_seed(question.question_id)


def _given(row: Mapping[str, Any]) -> list[Any]:
    if row.get("images") is not None:
        given = row["images"]
        return [given] if isinstance(given, str | bytes | Mapping | Image.Image) or _is_pixels(given) else list(given)
    if row.get("image") is not None:
        return [row["image"]]
    prompt = _plain(row.get("prompt"))
    turns = [turn for turn in prompt if turn["role"] != "tool"] if isinstance(prompt, list) else []
    contents = [_plain(turn.get("content")) for turn in turns]
    blocks = [block for content in contents if isinstance(content, list) for block in content]
    return [block for block in blocks if block.get("type") in ("image", "image_url", "input_image") and _holds(block)]


def _plain(value: Any) -> Any:
    """A list in the place of an array of objects, as pandas gives a column of lists."""
    return value.tolist() if hasattr(value, "tolist") and not isinstance(value, bytes) else value


def _is_pixels(value: Any) -> bool:
    """Whether an array holds the pixels of one image."""
    return hasattr(value, "__array_interface__") and getattr(value, "ndim", 0) in (2, 3) and value.dtype.kind in "uif"


def _question(row: Mapping[str, Any]) -> Question | None:
    """Ours; other data sets have a column of that name too."""
    try:
        return Question.model_validate_json(row["question"])
    except (KeyError, ValidationError):
        return None


def _holds(image: Mapping[str, Any]) -> list[Any]:
    held = [image[key] for key in ("bytes", "image", "path", "image_url", "url") if image.get(key) is not None]
    return held[:1]


def _file(image: Any) -> bytes:
    if isinstance(image, Mapping):
        if not (held := _holds(image)):
            raise ValueError(f"an image of a row has none of bytes, image, path and image_url, but {sorted(image)}")
        return _file(held[0])
    if isinstance(image, Image.Image):
        return _encoded(image)
    if _is_pixels(image):
        return _pixels(image)
    if isinstance(image, str) and image.startswith("data:image/"):
        image = base64.b64decode(image.partition(",")[2])
    if isinstance(image, str) and image.startswith(("http://", "https://")):
        raise ValueError(f"an image of a row is the address {image[:100]}: nothing is downloaded; put its file there")
    if isinstance(image, str | os.PathLike):
        image = Path(os.fspath(image).removeprefix("file://")).read_bytes()
    if not isinstance(image, bytes):
        raise ValueError(
            "an image of a row is bytes, a mapping, a path, a data URI, a PIL image or an array of pixels, not "
            f"{type(image).__name__}"
        )
    check_image(image)
    return image


def _pixels(array: Any) -> bytes:
    """An array of pixels as a file: whole numbers up to 255, or shares up to 1; rows, columns and maybe channels."""
    if array.dtype.kind == "f":
        if array.size and not (array.min() >= 0 and array.max() <= 1):
            raise ValueError("an image of a row is an array of floats that are not all between 0 and 1")
        array = (array * 255).round()
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (1, 3, 4):  # channels first
        array = array.transpose(1, 2, 0)
    array = array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array
    return _encoded(Image.fromarray(array.astype("uint8")))


def _encoded(image: Image.Image) -> bytes:
    """The same pixels in the same mode: TIFF holds the modes that PNG does not (CMYK, YCbCr, F)."""
    buffer = io.BytesIO()
    try:
        image.save(buffer, "PNG" if image.mode in _PNG_MODES else "TIFF", compress_level=1)
    except Exception as error:  # decoding is left until now, and a broken image may raise anything
        raise ImageError("image_unreadable", f"{type(error).__name__}: {error}") from error
    return buffer.getvalue()


def shown(png: bytes) -> Image.Image:
    """A result image as a vision processor takes it; the sandbox has flattened it already."""
    return Image.open(io.BytesIO(png)).convert("RGB")
