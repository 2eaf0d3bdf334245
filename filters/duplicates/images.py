"""Images that show the same picture, however they were encoded.

Two images show the same picture when the hashes of what their borders enclose (records/images/perceptual_hash.py)
differ in at most `bits` of 64 and their thumbnails agree, cell by cell, up to a small change of brightness and
contrast (LIMITS). The hash finds; the thumbnail decides: two charts drawn by one program have nearly one hash, but
bars of other heights.

Images are in order, oldest first. One is dropped if and only if an older one that is itself kept shows the same
picture, and joins the group of the earliest such (the rule of filters/duplicates/keep_oldest.py). So images that come
later never change the groups of earlier ones. Pairs are never listed, because a placeholder that comes a hundred
thousand times would make five thousand million of them: images are compared with kept ones only.
"""

import numpy as np
import polars as pl

from records.images.perceptual_hash import CELLS

LIMITS = (24.0, 0.75, 1.33, 1.5, 0.62, 0.025, 32.0, 0.3, 32.0, 4.0)
"""When two thumbnails agree, in grey levels (of 255) of cells:

- the mean luma differs by at most 24, and the contrasts by a factor of at most 1.33;
- after that change of brightness and contrast the root mean square of what is left is at most 62 % of the contrast
  (standard deviation) of the flatter one, less 2.5 % for each bit between the hashes, or 1.5 levels, which is noise
  on a flat picture. JPEG, resizing and trimmed borders leave 2 to 25 % on photographs and charts, and up to 50 % on
  pages of small text, whose cells are nearly equal; two pages of other text on one layout leave 45 % and more, and
  are 9 bits apart or more;
- no cell differs by more than 32 and 0.3 of the range around it, which is what a shift by 0.3 of a cell makes: so one
  bar of another height, or one shape at another place, is another picture;
- no cell's Cb or Cr differs by more than 32 (the same shape in another colour), and on average they differ by at most 4
  (the same shape on another ground).
"""
MOST_COMPARED = 1024
"""Thumbnails that one image is compared with in one block. More are within reach only where thousands of different
pictures have nearly one hash (nearly empty ones), and without a bound those would cost their number squared; those
that share most bits with the image come first."""
_BLOCK = 4096
_SLICE = 65_536


def signatures(thumbnails: pl.Series) -> np.ndarray:
    """Thumbnails (768 bytes each) as (n, 384) uint8: luma of the 256 cells, then Cb and Cr of 8 x 8 (ITU-R BT.601)."""
    made = np.empty((len(thumbnails), 3 * CELLS * CELLS // 2), np.uint8)
    for start in range(0, len(thumbnails), _SLICE):
        part = thumbnails.slice(start, _SLICE)
        cells = np.frombuffer(b"".join(part), np.uint8).reshape(len(part), CELLS, CELLS, 3).astype(np.float32)
        red, green, blue = cells[..., 0], cells[..., 1], cells[..., 2]
        grey = 0.299 * red + 0.587 * green + 0.114 * blue
        into = made[start : start + len(part)]
        into[:, : CELLS * CELLS] = np.rint(grey).reshape(len(part), -1)
        for at, chroma in ((4, (blue - grey) * 0.564), (5, (red - grey) * 0.713)):
            blocks = chroma.reshape(len(part), CELLS // 2, 2, CELLS // 2, 2).mean(axis=(2, 4)).reshape(len(part), -1)
            into[:, at * blocks.shape[1] : (at + 1) * blocks.shape[1]] = np.rint(blocks + 128).clip(0, 255)
    return made


def groups(images: pl.DataFrame, bits: int) -> pl.DataFrame:
    """Group images, oldest first, by the picture they show.

    Args:
        images: `image` (text), `inner_phash` (64 bits as Int64), `thumbnail` (768 bytes); other columns are not read.
            An image without hash or thumbnail has a group of its own.
        bits: of 64, in which the hashes of one picture may differ.

    Returns:
        `image`, `representative` (the image that is kept; itself where it is), `distance` (bits between the two),
        one row per row of `images`, in their order.

    It takes about 400 bytes per image beside `images`, and time near to linear up to a million images and 10 bits.
    """
    known = (
        images["inner_phash"].is_not_null() & (images["thumbnail"].bin.size() == 3 * CELLS * CELLS).fill_null(False)
    ).to_numpy()
    rows = images.select("inner_phash", "thumbnail").filter(pl.Series(known))
    hashes = rows["inner_phash"].to_numpy().view(np.uint64)
    search = _Search(hashes, signatures(rows["thumbnail"]), bits)
    search.settle(0, len(hashes))
    places = np.flatnonzero(known)
    kept = np.arange(images.height)
    kept[places] = places[search.kept_by]
    distance = np.zeros(images.height, np.uint8)
    distance[places] = np.bitwise_count(hashes ^ hashes[search.kept_by])
    return images.select("image", representative=images["image"].gather(pl.Series(kept)), distance=pl.Series(distance))


class _Search:
    """Finds the kept image of each of `hashes` (n, uint64) with `signatures` (n, 384)."""

    def __init__(self, hashes: np.ndarray, signatures: np.ndarray, bits: int) -> None:
        from filters.duplicates.kernels import hamming  # numba loads slowly

        self._kernels, self._probes, self._bits = hamming, hamming.probes(bits), bits
        self._hashes, self._signatures = hashes, signatures
        self.kept_by = np.arange(len(hashes))
        """for each image the place of the one that is kept for it"""

    def settle(self, start: int, stop: int) -> None:
        """Settle the images of a block among themselves; those that an image before the block keeps are settled.

        A block is halved: once its first half is settled, the kept ones of it are looked for in the second. Halves are
        cut at powers of two, so that what an image is compared with does not depend on how many come after it.
        """
        if stop - start <= _BLOCK:
            rows = self._open(start, stop)
            found = self._kernels.in_order(rows, self._hashes, self._signatures, self._bits, LIMITS, MOST_COMPARED)
            self._keep(rows, found)
            return
        middle = start + (1 << (stop - start - 1).bit_length() - 1)
        self.settle(start, middle)
        kept, rows = self._open(start, middle), self._open(middle, stop)
        table = self._kernels.tables(self._hashes[kept])
        found = self._kernels.earliest_alike(
            rows, kept, self._hashes, self._signatures, table, self._probes, self._bits, LIMITS, MOST_COMPARED
        )
        self._keep(rows, found)
        self.settle(middle, stop)

    def _open(self, start: int, stop: int) -> np.ndarray:
        return start + np.flatnonzero(self.kept_by[start:stop] == np.arange(start, stop))

    def _keep(self, rows: np.ndarray, found: np.ndarray) -> None:
        self.kept_by[rows[found >= 0]] = found[found >= 0]
