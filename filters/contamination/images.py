"""Images that are an evaluation set's image, whole or a part of it: re-encoded, resized, with borders, cropped.

A benchmark's image is hashed in windows of many sizes, shapes and places (`windows`), and the hash of an image (whole,
and without its borders) is looked up among them. What is near in `image_bits` is a candidate only: the amplitudes
behind the hash must agree as well, and then the pixels decide. The candidate window is moved until it fits best
(filters/contamination/window_fit.py), and the correlation of what is in the two, block by block so that it is the
details that count, is the score.

Looked for are crops of at least 15 % of the benchmark image's area, by up to a factor of 2 wider or taller than it. Of
such crops, re-encoded and resized, nearly all of photographs and of bar charts are found; four in five of line charts;
of pages of text most that hold half of the page and few small ones, because lines of text leave nearly nothing in the
low frequencies. Charts that one program drew on one frame can be hits of each other where a part of them is the same.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import product

import numpy as np
import polars as pl
from PIL import Image

from filters.contamination.window_fit import details, fit, opened_at, pyramid
from filters.duplicates.images import groups
from records.images.perceptual_hash import CELLS, COSINES, FREQUENCIES, amplitudes, describe, enclosed, hashes, luma
from records.recipe.questions import Decontamination

SMALLEST = 0.15
"""The least area of a window, as a share of the image's."""
WIDEST = 2.0
"""The largest factor by which the shape of a window may differ from the image's."""
_RATIO = 1.12
"""Ratio of one size of windows to the next. A hash of low frequencies tolerates about half of that."""
_STEP = 0.09
"""Distance between places of a window, as a share of it."""
_SIDE = 128
"""Pixels per side to which a benchmark image is averaged before its windows are cut."""
_NEAREST = 64
"""Hashes that one window may be near to."""
LIKE = 0.7
"""Cosine similarity of two windows' amplitudes from which their pixels are compared."""
_TRIED = 3
"""Windows, the most similar first, from which an image is fitted."""
MIN_SCORE = 0.75
"""The correlation from which two pictures are one."""
_SURE = 0.95
"""The score after which no other window is tried."""
DETAILS = 16.0
"""Blocks of 8 x 8 over which a picture's contrast is spread (the inverse of their shares' sum of squares),
under which it fits too many others to be a part of anything: one shape on a plain background has up to 14, photographs
have 35 and more, charts 25. Such a picture is found only as a whole, as filters/duplicates/images.py says."""
_WHOLE = 0.03
"""Share of a side that each edge of a window may be away from the image's for it to be the whole image."""

_U, _V = FREQUENCIES // CELLS, FREQUENCIES % CELLS
_USED = int(max(_U.max(), _V.max())) + 1
VERSION = 1
"""Raised when the same pictures are judged otherwise."""
HITS = pl.Schema({"image": pl.String, "benchmark": pl.String, "row": pl.String, "kind": pl.String, "score": pl.Float64})


@lru_cache(maxsize=1)
def _spans() -> tuple[list[np.ndarray], list[np.ndarray], list[tuple[int, int]]]:
    """Three lists. Per size of windows, in one direction: where they lie, (n, 2) in shares, and the matrix that makes
    the amplitudes of their cells of a line of _SIDE pixels, (n * _USED, _SIDE); and the pairs of sizes (along, down)
    that make windows."""
    sizes, least = [1.0], np.sqrt(SMALLEST / WIDEST)
    while sizes[-1] > least:
        sizes.append(sizes[-1] / _RATIO)
    places, transforms = [], []
    pixel = np.arange(_SIDE)
    for size in sizes:
        starts = np.linspace(0, 1 - size, int(np.ceil((1 - size) / (_STEP * size) - 1e-9)) + 1)
        edges = (starts[:, None] + size * np.linspace(0, 1, CELLS + 1)) * _SIDE
        upper, lower = edges[:, 1:, None], edges[:, :-1, None]
        shares = np.clip(np.minimum(upper, pixel + 1) - np.maximum(lower, pixel), 0, None) / (upper - lower)
        places.append(np.stack([starts, starts + size], axis=1))
        transforms.append((COSINES[:_USED] @ shares).reshape(-1, _SIDE).astype(np.float32))
    pairs = [
        (i, j)
        for i, j in product(range(len(sizes)), repeat=2)
        if sizes[i] * sizes[j] >= SMALLEST / _RATIO and max(i, j) - min(i, j) <= np.log(WIDEST) / np.log(_RATIO) + 0.5
    ]
    return places, transforms, pairs


@lru_cache(maxsize=1)
def boxes() -> np.ndarray:
    """The windows of an image, (n, 4): left, top, right, bottom in shares of its size. The first is the whole image."""
    places, _, pairs = _spans()
    made = []
    for i, j in pairs:
        down, along = np.meshgrid(np.arange(len(places[j])), np.arange(len(places[i])), indexing="ij")
        x, y = places[i][along.ravel()], places[j][down.ravel()]
        made.append(np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1))
    return np.concatenate(made)


def window_amplitudes(image: Image.Image) -> np.ndarray:
    """The amplitudes of an image's windows, (n, 64) float32."""
    _, transforms, pairs = _spans()
    grey = luma(np.asarray(image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BOX)))
    lines = {j: transforms[j] @ grey for j in {j for _, j in pairs}}
    made = []
    for i, j in pairs:
        both = (lines[j] @ transforms[i].T).reshape(-1, _USED, len(transforms[i]) // _USED, _USED)
        made.append(both.transpose(0, 2, 1, 3)[:, :, _U, _V].reshape(-1, 64))
    return np.concatenate(made)


def _hashed(image: Image.Image) -> np.ndarray:
    """Amplitudes of the windows, and last of what the image's borders enclose."""
    cells = np.frombuffer(describe(image).thumbnail, np.uint8).reshape(1, CELLS, CELLS, 3)
    return np.concatenate([window_amplitudes(image), amplitudes(luma(cells))])


def windows(image: Image.Image) -> np.ndarray:
    """The hashes of an image's windows in the order of `boxes`, and of what its borders enclose: (n + 1,) int64, about
    12,000 or 100 kB, to be kept if the same benchmarks are looked up again."""
    return hashes(_hashed(image))


class _Images:
    """The images that are looked up: each by its hash and by the one of what its borders enclose."""

    def __init__(self, images: pl.DataFrame) -> None:
        from filters.duplicates.kernels import hamming  # numba loads slowly

        known = images.filter(pl.all_horizontal(pl.col("phash", "inner_phash", "thumbnail").is_not_null()))
        known = known.unique("image", maintain_order=True)
        self.names = known["image"]
        self._inner = known["inner_phash"].to_numpy()
        bordered = known["phash"].to_numpy() != self._inner
        self._hashes = np.concatenate([self._inner, known["phash"].to_numpy()[bordered]]).view(np.uint64)
        self._owner = np.concatenate([np.arange(known.height), np.flatnonzero(bordered)])
        self._thumbnails = known["thumbnail"]
        self._kernels, self._table = hamming, hamming.tables(self._hashes)

    def near(self, wanted: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which of `wanted` hashes are near which image, and whether it is by what the image's borders enclose."""
        look_up = self._kernels.probes(bits)
        counts, found = self._kernels.pairs_within(wanted.view(np.uint64), self._table, look_up, bits, _NEAREST)
        window = np.repeat(np.arange(len(wanted)), counts)
        place = found[np.arange(_NEAREST) < counts[:, None]]
        return window, self._owner[place], place < len(self._inner)

    def amplitudes(self, owners: np.ndarray) -> np.ndarray:
        """Amplitudes of what the borders of images enclose, (m, 64)."""
        each, place = np.unique(owners, return_inverse=True)
        cells = np.frombuffer(b"".join(self._thumbnails.gather(each)), np.uint8).reshape(-1, CELLS, CELLS, 3)
        return amplitudes(luma(cells))[place]

    def likeness(self, owner: int, picture: Image.Image, bits: int) -> float:
        """Share of the hash's bits that an image and a picture have in common if they show the same; or else 0."""
        appearance = describe(picture)
        both = pl.DataFrame(
            {
                "image": ["picture", "image"],
                "inner_phash": [appearance.inner_phash, self._inner[owner]],
                "thumbnail": [appearance.thumbnail, self._thumbnails[owner]],
            }
        )
        name, distance = groups(both, bits).select("representative", "distance").row(1)
        return 1 - distance / 64 if name == "picture" else 0.0


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)


def hits(
    images: pl.DataFrame,
    benchmark: pl.DataFrame,
    read: Callable[[str], bytes],
    rules: Decontamination,
    kept: Callable[[str, Callable[[], np.ndarray]], np.ndarray] = lambda image, make: make(),
) -> pl.DataFrame:
    """Images that show a benchmark's image or a part of it.

    Args:
        images: the images to look at: `image`, `phash`, `inner_phash`, `thumbnail` (records/images/store.py).
        benchmark: one row for each image of each row of the evaluation sets: `benchmark`, `row`, `image`.
        read: gives the bytes of an image of either table; asked for those that come near one another only.
        kept: gives the `windows` of a benchmark's image: those kept from before, or those that `make()` makes.

    Returns:
        HITS, the best score first: per image and row of a benchmark the kind ("whole" or "crop") and the score
        from MIN_SCORE to 1.
    """
    # Equal bytes need no comparison.
    shared = images.select("image").unique(maintain_order=True).join(benchmark.select("image"), on="image", how="semi")
    found = [(name, name, "whole", 1.0) for name in shared["image"]]
    if images.height and benchmark.height:
        looked = _Images(images)
        opened = lru_cache(maxsize=256)(lambda image: opened_at(read(image)))
        for image in benchmark["image"].unique(maintain_order=True):
            found += [(image, *hit) for hit in _hits_of(image, looked, opened, rules, kept)]
    columns = {"shown": pl.String, "image": pl.String, "kind": pl.String, "score": pl.Float64}
    return (
        pl.DataFrame(found, schema=columns, orient="row")
        .join(benchmark.select("benchmark", "row", shown="image").unique(maintain_order=True), on="shown")
        .select(*HITS)
        .cast(HITS)
        .sort("score", "image", "benchmark", "row", descending=[True, False, False, False])
    )


def _hits_of(
    image: str,
    looked: _Images,
    opened: Callable[[str], Image.Image],
    rules: Decontamination,
    kept: Callable[[str, Callable[[], np.ndarray]], np.ndarray],
) -> Iterator[tuple[str, str, float]]:
    """The images that show one benchmark image: (image, kind, score)."""
    hashed = kept(image, lambda: windows(opened(image)))
    asked = np.arange(len(hashed)) if rules.crops else np.array([0, len(hashed) - 1])
    window, owner, inner = looked.near(hashed[asked], rules.image_bits)
    if not len(window):
        return
    picture = opened(image)
    frame, vectors = enclosed(picture), _hashed(picture)
    places = np.concatenate([boxes(), [frame]])
    window = asked[window]
    similar = (_unit(vectors[window]) * _unit(looked.amplitudes(owner))).sum(axis=1)
    near = pl.DataFrame({"window": window, "owner": owner, "inner": inner, "similar": similar})
    # The thumbnail shows what the borders enclose: of a hash of the whole image nothing more is known here.
    near = near.filter((pl.col("similar") >= LIKE) | ~pl.col("inner")).sort(
        "similar", "window", descending=[True, False]
    )
    grey = pyramid(picture)
    for (place,), windows_near in near.group_by("owner", maintain_order=True):
        name = looked.names[place]
        if name == image:
            continue
        if details(pyramid(opened(name))) < DETAILS:
            if score := looked.likeness(place, picture, rules.image_bits):
                yield name, "whole", score
            continue
        best, at = 0.0, frame
        for by_inner in (True, False):
            tried = windows_near.filter(inner=by_inner)["window"].head(_TRIED)
            part = _part(opened(name), by_inner) if len(tried) else []
            for k in tried:
                if best < _SURE and (found := fit(part, grey, tuple(places[k]))) > (best,):
                    best, at = found
        if best >= MIN_SCORE:
            whole = any(np.abs(np.subtract(at, edges)).max() <= _WHOLE for edges in ((0, 0, 1, 1), frame))
            # Two charts on one frame fit each other well: as wholes they must look the same as well.
            if looked.likeness(place, picture, 64) if whole else rules.crops:
                yield name, "whole" if whole else "crop", min(best, 1.0)


def _part(image: Image.Image, inner: bool) -> list[Image.Image]:
    if not inner:
        return pyramid(image)
    size = (image.width, image.height) * 2
    left, top, right, bottom = (round(share * side) for share, side in zip(enclosed(image), size, strict=True))
    return pyramid(image.crop((left, top, right, bottom)))
