"""The fit of a picture to a window of another: the window is moved until it fits best, and the pixels are compared.

The fit is the enhanced correlation coefficient of Evangelidis and Psarakis, "Parametric Image Alignment Using Enhanced
Correlation Coefficient Maximization", TPAMI 2008, for a window's four edges.
"""

import io

import numpy as np
from PIL import Image

from records.images.perceptual_hash import Box

_FLAT = 3.0
"""Grey levels of contrast (standard deviation) under which a picture is nearly empty and fits anywhere."""
_HOPE = 0.6
"""Correlation after the coarsest fit from which finer ones are tried."""
_SMALLEST_SIDE = 0.1
_GRID, _BLOCKS = 64, 8
_FIT_SIDES = (12, 16, 24, 32, 48, 64)
_READ_SIDE = 384
"""Pixels of the shorter side in which pictures are compared."""


def pyramid(image: Image.Image) -> list[Image.Image]:
    """A grey picture at its full size, a half, a quarter and so on, down to about 64 pixels."""
    levels = [image.convert("L")]
    while min(levels[-1].size) >= 128:
        levels.append(levels[-1].reduce(2))
    return levels


def _cut(pyramid: list[Image.Image], box: Box, side: int) -> np.ndarray:
    """A window, box in shares of the picture, as (side, side). The filter is a triangle: plain averages beat with lines
    of text."""
    width, height = pyramid[0].size
    pixels = min((box[2] - box[0]) * width, (box[3] - box[1]) * height) / side
    level = min(max(int(np.log2(max(pixels, 1))) - 1, 0), len(pyramid) - 1)
    picture, factor = pyramid[level], 2**level
    edges = np.array(box) * (width, height, width, height) / factor
    edges = np.minimum(edges, (picture.width, picture.height) * 2)
    return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR, tuple(edges)), np.float32)


def fit(image: list[Image.Image], benchmark: list[Image.Image], box: Box) -> tuple[float, Box]:
    """Move the edges of a window of `benchmark` until it fits `image` best.

    Args:
        image, benchmark: the two pictures, grey, each at its full size, a half, a quarter and so on.
        box: left, top, right, bottom in shares of the benchmark's size, a few percent off at most.

    Returns:
        the score from 0 to 1, and the window.
    """
    edges = np.array(box)
    for side in _FIT_SIDES:
        wanted = _cut(image, (0, 0, 1, 1), side).ravel()
        places = (np.arange(side) + 0.5) / side
        for _ in range(3):
            seen = _cut(benchmark, tuple(edges), side)
            # How the window changes when an edge moves by its whole width or height.
            down, along = (gradient * side for gradient in np.gradient(seen))
            moves = [along * (1 - places), down * (1 - places)[:, None], along * places, down * places[:, None]]
            system = np.stack([seen, np.ones_like(seen), *moves]).reshape(6, -1)
            squares = system @ system.T
            # A direction in which the picture is flat stays where it is.
            squares[np.diag_indices(6)] *= 1 + 1e-3
            squares[np.diag_indices(6)] += 1e-3
            found = np.linalg.solve(squares, system @ wanted)
            if found[0] <= 0.1:
                return 0.0, box
            size = np.array([edges[2] - edges[0], edges[3] - edges[1]] * 2)
            moved = edges + np.clip(found[2:] / found[0], -0.06, 0.06) * size
            moved = np.clip(moved, 0, 1)
            if min(moved[2] - moved[0], moved[3] - moved[1]) < _SMALLEST_SIDE:
                break
            edges = moved
        if side == _FIT_SIDES[0] and _correlation(wanted, _cut(benchmark, tuple(edges), side).ravel()) < _HOPE:
            return 0.0, box
    score = _score(_cut(image, (0, 0, 1, 1), _GRID), _cut(benchmark, tuple(edges), _GRID))
    left, top, right, bottom = (float(edge) for edge in edges)
    return score, (left, top, right, bottom)


def details(pyramid: list[Image.Image]) -> float:
    """The number of blocks over which a picture's contrast is spread."""
    cut = _blocks(_cut(pyramid, (0, 0, 1, 1), _GRID))
    contrast = np.sqrt((cut * cut).sum(axis=(1, 3)))
    return float(contrast.sum() ** 2 / max((contrast**2).sum(), 1e-6))


def _blocks(picture: np.ndarray) -> np.ndarray:
    """A picture in blocks, each without its mean: (row, y, column, x)."""
    cut = picture.reshape(_BLOCKS, _GRID // _BLOCKS, _BLOCKS, _GRID // _BLOCKS)
    return cut - cut.mean(axis=(1, 3), keepdims=True)


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two pictures of one size."""
    a, b = one - one.mean(), other - other.mean()
    return float((a * b).sum() / max(np.sqrt((a * a).sum() * (b * b).sum()), 1e-6))


def _score(one: np.ndarray, other: np.ndarray) -> float:
    """The mean of the blocks' covariances over their variances (after one change of contrast for all), each block
    weighted by its contrast, so that a faint label counts for more than its few dark pixels; 0 for nearly empty ones.
    """
    if min(one.std(), other.std()) < _FLAT:
        return 0.0
    a, b = _blocks(one), _blocks(other)
    b *= np.sqrt((a * a).sum() / max((b * b).sum(), 1e-6))
    contrast = np.sqrt(((a * a).sum(axis=(1, 3)) + (b * b).sum(axis=(1, 3))) / 2)
    return max(0.0, float(((a * b).sum(axis=(1, 3)) / np.maximum(contrast, 1e-6)).sum() / contrast.sum()))


def opened_at(data: bytes) -> Image.Image:
    """A picture in at least _READ_SIDE pixels of its shorter side, where it has them."""
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", (_READ_SIDE, _READ_SIDE))
    image = image.convert("RGB")
    return image.reduce(factor) if (factor := min(image.size) // _READ_SIDE) > 1 else image
