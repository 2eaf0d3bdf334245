"""What may come out of a session as an image."""

import io
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from records.images.store import ImageError
from sandbox.result_images import SIGNATURE, check_result_image


def png(width: int = 3, height: int = 3, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_what_the_worker_makes_is_taken(mode):
    check_result_image(png(mode=mode))


def test_what_a_photograph_brings_along_is_taken():
    exif = Image.Exif()
    exif[270] = "a description"
    buffer, again = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (3, 3)).save(buffer, "JPEG", exif=exif, dpi=(72, 72), comment="a comment")
    Image.open(buffer).save(again, "PNG")
    check_result_image(again.getvalue())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        SIGNATURE,
        b"GIF89a" + bytes(100),
        png() + b"PK\x03\x04",
        png() + png(),
        png()[:-4],
        png()[:20],
        png()[:33] + chunk(b"tEXt", b"Comment\0<script>") + png()[33:],
        png()[:33] + chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1 << 20))) + png()[33:],
        png()[:33] + chunk(b"toUc", b"anything") + png()[33:],
        SIGNATURE + chunk(b"IHDR", b"\x00\x01\x00\x00\x00\x01\x00\x00\x08\x02\0\0\0") + png()[33:],
        SIGNATURE + (1 << 31).to_bytes(4, "big") + b"IHDR",
    ],
)
def test_what_else_there_is_is_not(data):
    with pytest.raises(ImageError):
        check_result_image(data)


@given(st.integers(0, len(png()) - 1), st.binary(max_size=8), st.integers(0, 20))
@example(16, b"\xff\xff\xff\xff", 4)
def test_a_damaged_one_is_taken_or_refused_and_nothing_else(at, data, removed):
    damaged = png()[:at] + data + png()[at + removed :]
    try:
        check_result_image(damaged)
    except ImageError as error:
        assert error.reason in ("not_a_plain_png", "image_too_large", "image_unreadable")
