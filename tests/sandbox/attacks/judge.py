"""What is wrong with a result of a cell, whatever the cell was: nothing, or a list of complaints."""

import io
import os
import re
import struct
from collections.abc import Iterator
from typing import Any

from PIL import Image

from records.recipe import SandboxSettings as Settings

from .case import Cell

PNG = b"\x89PNG\r\n\x1a\n"
MAX_PIXELS = 4_000_000
LATE_S = 60.0
"""How late the end of a stopped cell may be on a machine that is busy with other things; what it computes until then is
counted in CPU seconds."""


def _chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    """A PNG's chunks: kind, and where the next one starts. Raises struct.error for one that is cut short."""
    at = len(PNG)
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind, at = data[at + 4 : at + 8], at + 12 + size
        yield kind, at
        if kind == b"IEND":
            return


def image(data: bytes) -> str:
    """What is wrong with a result image."""
    if not data.startswith(PNG):
        return f"an image that begins with {data[:12]!r}"
    width, height = struct.unpack(">II", data[16:24])
    if width * height > MAX_PIXELS * 1.01:
        return f"an image of {width}x{height} pixels"
    try:
        kinds = list(_chunks(data))
        with Image.open(io.BytesIO(data)) as opened:
            opened.load()
    except Exception as error:  # a decoder's errors are of all kinds
        return f"an image that cannot be decoded: {type(error).__name__}: {error}"
    if kinds[-1] != (b"IEND", len(data)):
        return "an image with something behind its end"
    return ""


def result(seen: Any, cell: Cell, settings: Settings, secret: str) -> list[str]:
    """Complaints about a CellResult. Whether it is what the attack's cell may come to, and fit to be kept."""
    texts = {name: getattr(seen, name) for name in ("stdout", "stderr", "value", "error")}
    wrong = []
    if seen.outcome not in cell.outcomes:
        wrong.append(f"the outcome is {seen.outcome}, not {' or '.join(cell.outcomes)}: {seen.error[-400:]!r}")
    for name, wanted in (("stdout", cell.stdout), ("value", cell.value)):
        if not re.fullmatch(wanted, texts[name]):
            wrong.append(f"{name} is {texts[name][:1500]!r}, not {wanted[:300]!r}")
    if cell.error and not re.search(cell.error, texts["error"]):
        wrong.append(f"the error is {texts['error'][-400:]!r}, without {cell.error!r}")
    if cell.notes and not re.search(cell.notes, "\n".join(seen.notes)):
        wrong.append(f"the notes are {seen.notes!r}, without {cell.notes!r}")
    if cell.images is not None and not cell.images[0] <= len(seen.images) <= cell.images[1]:
        wrong.append(f"{len(seen.images)} images, not {cell.images[0]} to {cell.images[1]}; notes: {seen.notes}")
    for name, text in [*texts.items(), *(("notes", note) for note in seen.notes)]:
        if type(text) is not str or len(text) > settings.output_chars + 500:
            wrong.append(f"{name} is a {type(text).__name__} of {len(text)} characters")
        elif secret in text:
            wrong.append(f"THE SECRET is in {name}: {text[max(0, text.index(secret) - 200) :][:300]!r}")
        else:
            try:
                text.encode()
            except UnicodeEncodeError as error:
                wrong.append(f"{name} cannot be written to a file: {error}")
    if len(seen.images) > settings.images_per_call or len(seen.notes) > 100:
        wrong.append(f"{len(seen.images)} images and {len(seen.notes)} notes")
    for data in seen.images:
        if secret.encode() in data:
            wrong.append("THE SECRET is in an image")
        if complaint := image(data):
            wrong.append(complaint)
    if seen.outcome in ("timed_out", "killed") and not seen.state_lost:
        wrong.append(f"{seen.outcome}, and yet it is said that the state is kept")
    if seen.usage.seconds > settings.cell_timeout_s + LATE_S:
        wrong.append(f"it took {seen.usage.seconds:.1f} s of {settings.cell_timeout_s:g}")
    if seen.usage.cpu_s > (settings.cell_timeout_s * 1.1 + 2) * (os.cpu_count() or 1):
        wrong.append(f"it used {seen.usage.cpu_s:.1f} CPU seconds in {settings.cell_timeout_s:g} s")
    return wrong
