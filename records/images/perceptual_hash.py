"""The appearance of a picture in a few bytes that survive re-encoding, resizing and added borders.

A picture is averaged to 16 x 16 cells, whatever its shape. Its hash is the signs of the 64 lowest frequencies of the
cosine transform of the cells' luma: pHash (Zauner, "Implementation and Benchmarking of Perceptual Image Hash
Functions", 2010, section 3.2.1) with two changes. Signs stand in for the comparison with the median, and a frequency
counts as zero up to DEAD_ZONE grey levels, so that what is symmetric or flat gives the same bits after every encoding,
not bits of noise. The cells are averages over exact areas, so that a part of a picture can be hashed out of the
picture's summed-area table (filters/contamination/images.py).
"""

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
from PIL import Image

Box = tuple[float, float, float, float]

CELLS = 16
"""The number of cells per side of the thumbnail."""
DEAD_ZONE = 0.4
"""The amplitude of a cosine, in grey levels, below which a frequency counts as absent."""
_WORK_SIDE = 128
"""The approximate number of pixels of the shorter side of the reduced picture that borders are looked for in."""
_SAME = 20
"""The number of levels (of 255, per channel) by which a pixel of a border may differ from the border's colour."""
_STRAY = 0.03
"""The share of a line whose pixels may differ by more than _SAME, up to _RINGING, beside a border that ends as if cut:
JPEG leaves such pixels beside an edge."""
_RINGING = 60
"""The number of levels by which no pixel of such a line may differ from the border's colour."""
_EDGE = 0.7
"""The share of a line that must differ from the border's colour for the border to end there as if cut."""
_DEEPEST = 0.25
"""The largest share of a side that a border may take which ends as if cut."""
_MARGIN = 0.2
"""The largest share of a side that an empty margin may take to count as a border although what it surrounds begins
without an edge; all four margins must be as small. More is background, and the place of a thing is part of the
picture."""

_FRAMES = 3
"""The most borders around one another that are looked for."""

_AT_ONCE = 8
"""The number of lines that are compared at once, from a side inwards."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_angles = np.pi / CELLS * (np.arange(CELLS) + 0.5)
COSINES = (np.cos(np.arange(CELLS)[:, None] * _angles) * 2 / CELLS).astype(np.float32)
"""The cosine transform, (frequency, cell), which gives amplitudes in grey levels."""
_u, _v = np.meshgrid(np.arange(CELLS), np.arange(CELLS), indexing="ij")
FREQUENCIES = np.argsort((_u**2 + _v**2).ravel() + 1e-3 * _u.ravel(), kind="stable")[1:65]
"""The places of the 64 lowest frequencies, without the constant one, in the flattened transform; lowest first."""


@dataclass(frozen=True)
class Appearance:
    """What a picture looks like."""

    phash: int
    """64 bits, as a signed number."""
    inner_phash: int
    """The hash without uniform borders; equals `phash` where there are none."""
    thumbnail: bytes
    """16 x 16 RGB of the picture without uniform borders: 768 bytes."""


def amplitudes(cells: np.ndarray) -> np.ndarray:
    """The amplitudes that a hash takes the signs of, (n, 64) float32, of cells of luma, (n, 16, 16) in grey levels."""
    return (COSINES @ cells.astype(np.float32) @ COSINES.T).reshape(len(cells), -1)[:, FREQUENCIES]


def hashes(amplitudes: np.ndarray) -> np.ndarray:
    """The hashes, (n,) int64, of amplitudes, (n, 64)."""
    signs = np.ascontiguousarray(np.packbits(amplitudes > DEAD_ZONE, axis=1, bitorder="little"))
    return signs.view("<i8")[:, 0]


def luma(thumbnails: np.ndarray) -> np.ndarray:
    """Luma (ITU-R BT.601), (..., 16, 16) float32, of thumbnails, (..., 16, 16, 3) uint8."""
    return thumbnails.astype(np.float32) @ _LUMA


def _away(lines: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """A mask (n, along) of the pixels of lines (n, along, 3) that differ from a colour."""
    apart = np.abs(lines - colour) > _SAME
    return apart[..., 0] | apart[..., 1] | apart[..., 2]


def _depth(lines: np.ndarray, colour: np.ndarray, stray: float) -> int:
    """The number of lines (n, along, 3), from the first on, that have a colour, except for a share of stray pixels per
    line."""
    for start in range(0, len(lines), _AT_ONCE):  # most borders end soon
        part = lines[start : start + _AT_ONCE]
        touched = _away(part, colour).mean(axis=1) > stray
        if stray:
            touched |= (np.abs(part - colour) > _RINGING).any(axis=(1, 2))
        if touched.any():
            return start + int(touched.argmax())
    return len(lines)


def _margin(lines: np.ndarray, outermost: bool) -> tuple[int, float, bool]:
    """The border of a picture seen from one side, (depth, along, 3): the number of lines in its colour; the share of
    the next line that it takes; and whether it ends as if cut."""
    colour = lines[0].mean(axis=0, dtype=np.float32)
    depth = _depth(lines, colour, _STRAY if outermost else 0)  # further in, stray pixels may be rests of a frame
    cut = False
    if 0 < depth <= len(lines) - 2:
        cut = bool(_away(lines[depth : depth + 2], colour).any(axis=0).mean() >= _EDGE)
    if not cut:  # stray pixels are an encoder's only beside a cut edge
        return _depth(lines[:depth], colour, 0), 0.0, False
    after = lines[depth : depth + 2] - colour
    # The line after the border may be border in part: its weight is its likeness to the line behind it.
    energy = float((after[1] ** 2).sum())
    covered = float((after[0] * after[1]).sum()) / energy if energy else 1.0
    return depth, 1.0 - min(max(covered, 0.0), 1.0), True


def _borders(pixels: np.ndarray, outermost: bool) -> Box:
    """The depths of the uniform borders, (left, top, right, bottom) in pixels of `pixels`, (height, width, 3)."""
    seen = [pixels.transpose(1, 0, 2), pixels, pixels[:, ::-1].transpose(1, 0, 2), pixels[::-1]]
    found = [_margin(lines, outermost) for lines in seen]
    whole = all(depth <= _MARGIN * len(lines) for (depth, _, _), lines in zip(found, seen, strict=True))
    left, top, right, bottom = (
        depth + part if depth and ((cut and depth <= _DEEPEST * len(lines)) or whole) else 0.0
        for (depth, part, cut), lines in zip(found, seen, strict=True)
    )
    return left, top, right, bottom


def _may_have_borders(image: Image.Image) -> bool:
    """Whether any of the four outermost lines has a single colour, which is false for most photographs."""
    right, bottom = image.size
    lines = [(0, 0, right, 1), (0, bottom - 1, right, bottom), (0, 0, 1, bottom), (right - 1, 0, right, bottom)]
    ranges = (cast("tuple[tuple[int, int], ...]", image.crop(line).getextrema()) for line in lines)  # one per band
    return any(all(high - low <= 2 * _RINGING for low, high in bands) for bands in ranges)


def _inside(pixels: np.ndarray) -> Box | None:
    """The box that the borders of a picture enclose, (left, top, right, bottom); None if there are none. A border may
    lie around another: a dark frame around a page with white margins."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = 0.0, 0.0, float(width), float(height)
    for frame in range(_FRAMES):
        # Lines that are border in part are left out of the next look, or they would be its first.
        x, y = math.ceil(left), math.ceil(top)
        part = pixels[y : math.floor(bottom), x : math.floor(right)]
        if min(part.shape[:2]) < CELLS:
            break
        depths = _borders(part, outermost=frame == 0)
        if not any(depths):
            break
        left, top = (x + depths[0] if depths[0] else left), (y + depths[1] if depths[1] else top)
        right = math.floor(right) - depths[2] if depths[2] else right
        bottom = math.floor(bottom) - depths[3] if depths[3] else bottom
    box = (left, top, right, bottom)
    return None if box == (0.0, 0.0, width, height) else box


def _reduced(image: Image.Image) -> tuple[Image.Image, tuple[float, float], Box | None]:
    """The picture in about _WORK_SIDE pixels, its exact size there (the last line and column may stand for fewer pixels
    than the others), and what its borders enclose."""
    image = image if image.mode == "RGB" else image.convert("RGB")
    factor = max(1, min(image.size) // _WORK_SIDE)
    work = image.reduce(factor) if factor > 1 else image
    width, height = image.width / factor, image.height / factor
    box = _inside(np.asarray(work)) if _may_have_borders(work) else None
    return work, (width, height), box and (*box[:2], min(width, box[2]), min(height, box[3]))


def describe(image: Image.Image) -> Appearance:
    """The look of an image of any size; it may be a reduced version of the original (at least 64 pixels on the shorter
    side, where the original has that many)."""
    work, size, inside = _reduced(image)
    thumbnail = work.resize((CELLS, CELLS), Image.Resampling.BOX, (0, 0, *size))
    phash = inner = _hash(thumbnail)
    if inside:
        thumbnail = work.resize((CELLS, CELLS), Image.Resampling.BOX, inside)
        inner = _hash(thumbnail)
    return Appearance(phash=phash, inner_phash=inner, thumbnail=thumbnail.tobytes())


def enclosed(image: Image.Image) -> Box:
    """The box that the borders of an image enclose, as shares of its size: (left, top, right, bottom)."""
    _, (width, height), inside = _reduced(image)
    left, top, right, bottom = inside or (0.0, 0.0, width, height)
    return left / width, top / height, right / width, bottom / height


def _hash(thumbnail: Image.Image) -> int:
    return int(hashes(amplitudes(luma(np.asarray(thumbnail))[None]))[0])
