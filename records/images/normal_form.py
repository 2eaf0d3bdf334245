"""The normal form of an image: a JPEG, PNG or WebP file of one upright picture in 8-bit RGB or grey, without alpha.

A file that is one already is kept byte for byte. What a model sees of any other file depends on who decodes it (some
turn a photograph by its EXIF tag and some do not, transparent becomes black or white), so the picture is made plain
here, once, and written again: as JPEG if a JPEG came, else as PNG, which loses nothing more. The codes in `changes`:

    exif_rotated       turned as its EXIF (or TIFF) orientation says
    alpha_flattened    put on white where it was transparent
    palette_expanded   colours of a palette written out
    cmyk_converted     CMYK or YCCK to RGB, without colour management, as the models' own pipelines convert it
    depth_reduced      16 or 32 bits or floating-point numbers to 8 bits
    depth_expanded     1, 2 or 4 bits to 8
    mode_converted     another colour model (such as YCbCr in a TIFF) to RGB
    format_changed     another format than the one that came

The same bytes give the same normal form under the same versions of Pillow and its codecs.
"""

import hashlib
import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from PIL import Image, ImageChops, ImageFile

from records.images.file_headers import frames, png_is_short, sniff, tiff_is_cut, webp_size
from records.images.perceptual_hash import describe
from records.images.store import MAX_PIXELS, ImageError, ImageFacts

if TYPE_CHECKING:
    from PIL.TiffImagePlugin import TiffImageFile

JPEG_QUALITY = 95
"""The quality of a photograph that is written again as JPEG and so compressed a second time: at 95 the loss stays below
what one sees, at a fraction of the bytes of a PNG. Its chroma is not subsampled, because doing that twice, on blocks
that a turn may have moved, smears small coloured details, which questions ask about."""
PNG_LEVEL = 4
"""The compression level of a PNG: half the time of Pillow's default, 6, on smooth pictures, for a few per cent more
bytes."""
LOOK_SIDE = 96
"""The number of pixels of the shorter side that a perceptual hash works with, if the picture has them."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
"""The turn that sets a picture upright, by EXIF orientation (Exif 2.32, section 4.6.4, tag 274)."""
_ORIENTATION = 274
"""The EXIF and TIFF tag of the orientation."""
_BITS = 258
"""The TIFF tag of the bits per sample."""
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""The markers that end the entropy-coded data of a JPEG's scan: all but a restart (ITU-T T.81, section B.1.1)."""
_NOISE = bytes(range(1, 255)) * 4

_strict = threading.Lock()


@dataclass(frozen=True)
class NormalImage:
    """An image to be stored."""

    data: bytes
    facts: ImageFacts


@contextmanager
def _strictly() -> Iterator[None]:
    """Whatever another library has set, a truncated file is an error here."""
    with _strict:
        before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before


def normal_form(data: bytes) -> NormalImage:
    """Decode a file once, whole, and bring it into the normal form.

    Raises:
        ImageError: `not_an_image`, `image_format_unsupported`, `image_truncated`, `image_unreadable`,
            `image_animated` (more than one frame or page), `image_one_pixel` (a side of one pixel) or
            `image_too_large` (more pixels than MAX_PIXELS, bytes than MAX_BYTES, metadata or memory than allowed).
    """
    kind = sniff(data)
    try:
        _check_frames(frames(data, kind))
        if kind == "WEBP" and (size := webp_size(data)) is not None:
            _check_size(size)
        with _strictly(), Image.open(io.BytesIO(data), formats=[kind]) as image:
            return _of(image, kind, data)
    except ImageError:
        raise
    except (MemoryError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError("image_too_large", str(error) or "it needs more memory than a decoder is given") from error
    except Exception as error:  # a broken image may raise anything out of its decoder
        raise _explained(error, kind, data) from error


def _explained(error: Exception, kind: str, data: bytes) -> ImageError:
    """The reject reason for an exception of a decoder."""
    text = str(error).lower()
    detail = f"{kind}: {type(error).__name__}: {error}"[:300]
    # Of Pillow's own limits on compressed texts and profiles, and of codecs.
    if "too large" in text or "memory" in text:
        return ImageError("image_too_large", detail)
    cut = "truncated" in text or (kind == "TIFF" and tiff_is_cut(data)) or (kind == "JPEG" and b"\xff\xda" not in data)
    return ImageError("image_truncated" if cut else "image_unreadable", detail)


def _check_frames(count: int) -> None:
    if count > 1:
        raise ImageError("image_animated", f"{count} frames or pages, where one picture is needed")


def _check_size(size: tuple[int, int]) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise ImageError("image_too_large", f"{size[0]}x{size[1]} pixels, at most {MAX_PIXELS} are taken")
    if min(size) == 1:
        raise ImageError("image_one_pixel", f"{size[0]}x{size[1]} pixels")


def _of(image: ImageFile.ImageFile, kind: str, data: bytes) -> NormalImage:
    _check_size(image.size)
    if kind in ("TIFF", "AVIF", "WEBP"):
        _check_frames(getattr(image, "n_frames", 1))
    assert image.fp is not None  # it was opened, and not loaded yet
    scan = image.fp.tell()
    turn = None if kind == "PNG" else _turn(image)  # the EXIF data of a PNG may come after its pixels
    if kind == "JPEG" and image.mode in ("RGB", "L") and turn is None:
        # Scaled decoding: libjpeg reads every code of the file, and transforms fewer frequencies of each block. Of a
        # file of several pictures (MPO, as cameras write) this is the first, which every reader takes.
        size = image.size
        image.draft(None, (LOOK_SIDE, LOOK_SIDE))
        image.load()
        _check_end(image, kind, data, scan)
        return _made(data, data, size, "jpeg", [], image)
    image.load()
    _check_size(image.size)
    if kind in ("PNG", "JPEG"):
        _check_end(image, kind, data, scan)
    changes = []
    if kind == "PNG":
        turn = _turn(image)
    if turn is not None:
        changes.append("exif_rotated")
    picture = _plain(image, kind, data, changes)
    if turn is not None and kind != "TIFF":  # Pillow turns a TIFF itself
        picture = picture.transpose(turn)
    if not changes and kind in ("PNG", "WEBP"):
        return _made(data, data, picture.size, kind.lower(), changes, picture)
    target = "JPEG" if kind == "JPEG" else "PNG"
    if target != kind:
        changes.append("format_changed")
    picture.info = {}  # or comments, profiles and transparent colours would be written as well
    options = {"quality": JPEG_QUALITY, "subsampling": 0} if target == "JPEG" else {"compress_level": PNG_LEVEL}
    buffer = io.BytesIO()
    picture.save(buffer, target, **options)
    return _made(buffer.getvalue(), data, picture.size, target.lower(), changes, picture)


def _made(
    stored: bytes, data: bytes, size: tuple[int, int], kind: str, changes: list[str], picture: Image.Image
) -> NormalImage:
    look = describe(picture if picture.mode == "RGB" else picture.convert("RGB"))
    arrived = hashlib.sha256(data).hexdigest()
    facts = ImageFacts(
        image=arrived if stored is data else hashlib.sha256(stored).hexdigest(),
        arrived=arrived,
        width=size[0],
        height=size[1],
        format=kind,
        changes=changes,
        phash=look.phash,
        inner_phash=look.inner_phash,
        thumbnail=look.thumbnail,
    )
    return NormalImage(stored, facts)


def _check_end(image: ImageFile.ImageFile, kind: str, data: bytes, scan: int) -> None:
    """Some files are whole and still hold fewer pixels than their header promises (a scan that was cut and closed). The
    decoders leave black (PNG) or grey (JPEG) for the rest, silently; where a picture ends so, it is looked at closely.
    `scan` is where the entropy-coded data of a JPEG begin."""
    last = (image.width - 1, image.height - 1)
    if kind == "PNG":
        black = not np.asarray(image.crop((0, last[1], image.width, image.height))).any()
        short = (black or image.info.get("interlace")) and png_is_short(data)
    elif image.getpixel(last) in (128, (128, 128, 128)):
        # Noise before the marker that ends the scan changes the picture only if codes were missing there.
        marker = _MARKER.search(data, scan)
        end = marker.start() if marker else len(data)
        with Image.open(io.BytesIO(data[:end] + _NOISE + data[end:]), formats=[kind]) as other:
            if other.size != image.size:
                other.draft(None, (LOOK_SIDE, LOOK_SIDE))
            other.load()
            short = other.tobytes() != image.tobytes()
    else:
        short = False
    if short:
        raise ImageError("image_truncated", f"{kind}: the data of the pixels end before the picture does")


def _turn(image: Image.Image) -> Image.Transpose | None:
    """The turn that sets the picture upright; None if it is upright or its EXIF data cannot be read."""
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # metadata in any state; the picture may be fine
        return None


def _bits(image: Image.Image, kind: str, data: bytes) -> int:
    """The bits per sample as stored: Pillow gives 16-bit colours and grey of less than 8 bits as 8 bits."""
    if kind == "PNG":
        return data[24]
    return max(cast("TiffImageFile", image).tag_v2.get(_BITS, (8,))) if kind == "TIFF" else 8


def _plain(image: Image.Image, kind: str, data: bytes, changes: list[str]) -> Image.Image:
    """The picture as 8-bit RGB or L; adds to `changes` what was done."""
    bits, clear = _bits(image, kind, data), image.info.get("transparency")
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        changes.append("depth_reduced")
        return _eight_bits(np.asarray(image), clear, changes)
    if bits > 8:
        changes.append("depth_reduced")
        if isinstance(clear, tuple):  # the transparent colour is still of 16 bits
            image.info["transparency"] = tuple(value >> 8 for value in clear)
    elif image.mode == "1" or (image.mode == "L" and bits < 8):
        changes.append("depth_expanded")
    if image.mode in ("P", "PA"):
        changes.append("palette_expanded")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or clear is not None:
        changes.append("alpha_flattened")
        return _on_white(image)
    if image.mode == "CMYK":
        changes.append("cmyk_converted")
        if kind == "JPEG" and "adobe" not in image.info:
            # Adobe's files hold inverted values, and Pillow takes every JPEG for one of them.
            image = ImageChops.invert(image)
        return image.convert("RGB")
    if image.mode not in ("RGB", "L", "1", "P"):
        changes.append("mode_converted")
    if image.mode in ("RGB", "L"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _on_white(image: Image.Image) -> Image.Image:
    grey = image.mode in ("L", "LA", "La", "1")
    layer = image.convert({"RGBa": "RGBA", "La": "LA"}.get(image.mode, image.mode)).convert("RGBA")
    paper = Image.new("RGB", layer.size, "white")
    paper.paste(layer, mask=layer.getchannel("A"))
    return paper.convert("L") if grey else paper


def _eight_bits(values: np.ndarray, clear: object, changes: list[str]) -> Image.Image:
    """Grey of more than 8 bits as 8 bits. 16 bits are scaled from their whole range; numbers of other types from 0 … 1,
    0 … 255 or 0 … 65535, the first that holds them all, or else from the range they take."""
    if values.dtype.kind == "u":
        low, high = 0.0, 65535.0
    else:
        values = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
        least, most = float(values.min()), float(values.max())
        tops = (255.0, 65535.0) if most > 1 else (1.0,)
        low, high = next(((0.0, top) for top in tops if least >= 0 and most <= top), (least, max(most, least + 1e-6)))
    scaled = (values.astype(np.float32) - low) * (255.0 / (high - low))
    grey = np.rint(scaled).clip(0, 255).astype(np.uint8)
    if isinstance(clear, int):
        changes.append("alpha_flattened")
        grey[values == clear] = 255
    return Image.fromarray(grey)
