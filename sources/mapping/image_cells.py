"""The encoded bytes of an image, out of any form in which datasets give one. Nothing is downloaded, nothing decoded."""

import base64
import binascii
import io
import math
import os
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from records.images.store import MAX_BYTES
from sources.mapping.cells import BrokenRow

Read = Callable[[str], bytes]

# How the base64 of a JPEG, PNG, GIF or WebP begins. No more than that is matched: an image has millions of characters.
_BASE64 = re.compile(r"(?:/9j/|iVBORw0KGgo|R0lGOD|UklGR)[A-Za-z0-9+/\s]{40}")


def folder_reader(folder: str | None) -> Read:
    """A function that opens paths below `folder`, and no others; without a folder, none."""
    return _no_folder if folder is None else folders_reader((os.path.abspath(folder),))


def _no_folder(path: str) -> bytes:
    raise BrokenRow("image_missing", f"{path[:200]}: paths need image_folder")


@lru_cache(maxsize=64)
def folders_reader(folders: tuple[str, ...]) -> Read:
    """A function that opens paths below one of `folders` (absolute), and no others. Where a path leads is told from its
    text, after its `..` are resolved: links inside a folder belong to its owner and may lead out of it.
    """
    roots = [Path(os.path.normpath(folder)) for folder in folders]

    def read(path: str) -> bytes:
        files = [Path(os.path.normpath(root / path)) for root in roots]
        below = [file for file in files if any(file.is_relative_to(root) for root in roots)]
        if not below:
            raise BrokenRow("image_outside_folder", path[:200])
        file = next((file for file in below if os.path.isfile(file)), None)
        if file is None:  # nothing, or a pipe or a device, which would block
            raise BrokenRow("image_missing", f"{path[:200]}: no such file in {', '.join(map(str, roots))}"[:500])
        with file.open("rb") as opened:
            return read_bounded(opened, os.fstat(opened.fileno()).st_size)

    return read


def read_bounded(file: Any, size: int | None) -> bytes:
    """All of an open file, of `size` bytes as far as that is known.

    Raises:
        BrokenRow: `image_too_large`.
    """
    _check_size(size or 0)
    data = file.read(MAX_BYTES + 1)
    _check_size(len(data))
    return data


def _check_size(count: int) -> None:
    if count > MAX_BYTES:
        raise BrokenRow("image_too_large", f"{count} bytes, at most {MAX_BYTES} are taken")


def _decoded(text: str) -> bytes:
    _check_size(len(text) * 3 // 4)
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BrokenRow("image_unreadable", f"base64: {error}") from None


def _opened(path: str, read: Read) -> bytes:
    if path.startswith(("http://", "https://")):
        raise BrokenRow(
            "image_is_url",
            f"{path[:200]}: Touchstone downloads nothing; fetch the images into a folder and give image_folder",
        )
    try:
        return read(path)
    except BrokenRow:
        raise
    except Exception as error:  # any file system may be behind the path
        raise BrokenRow("image_missing", f"{path[:200]}: {type(error).__name__}: {error}") from None


def _encoded(image: Any) -> bytes:
    """An image that is decoded already, as PNG."""
    buffer = io.BytesIO()
    try:
        plain = image if image.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16") else image.convert("RGB")
        plain.save(buffer, "PNG")
    except Exception as error:  # a lazily opened file may be broken
        raise BrokenRow("image_unreadable", f"{type(error).__name__}: {error}") from None
    return buffer.getvalue()


def is_no_image(value: Any) -> bool:
    """Whether a cell says that there is no image: null, an empty text, or a struct of such."""
    if isinstance(value, dict):
        return all(map(is_no_image, value.values()))
    return value is None or (isinstance(value, float) and math.isnan(value)) or value in ("", b"")


def image_bytes(value: Any, by_path: Read, opened: Read) -> bytes:
    """The encoded bytes of an image: bytes, {bytes, path}, a path, a data URI, bare base64 or a decoded image.

    Args:
        value: one cell, or one item of a cell that is a list.
        by_path: opens a path given as a text.
        opened: opens the path of {bytes: null, path}.

    Raises:
        BrokenRow: `image_missing`, `image_outside_folder`, `image_is_url`, `image_unreadable` or `image_too_large`.
    """
    if isinstance(value, dict):
        if value.get("bytes") is None and isinstance(value.get("path"), str) and value["path"]:
            return _opened(value["path"], opened)
        value = value.get("bytes")
    if isinstance(value, str) and value:
        if value.startswith("data:image/"):
            return _decoded(value.partition(",")[2])
        if _BASE64.match(value):
            return _decoded(value)
        value = _opened(value, by_path)
    if isinstance(value, bytes | bytearray | memoryview):
        _check_size(len(value))
        return bytes(value)
    if hasattr(value, "save"):
        return _encoded(value)
    empty = value is None or value == ""
    raise BrokenRow("image_missing", "the image cell is empty" if empty else f"a {type(value).__name__} is no image")
