"""Result images come from hostile hands: each is a PNG file of bounded size, and nothing but a PNG file.

Chunks: Portable Network Graphics (PNG) Specification, third edition, section 5.3 and 11.
"""

from records.images.store import ImageError, check_image
from sandbox.inside.bounds import MAX_PIXELS

SIGNATURE = b"\x89PNG\r\n\x1a\n"
"""The first bytes of every PNG file."""
START = SIGNATURE + b"\0\0\0\rIHDR"
"""The signature and the head of the first chunk, which is the header."""
END = b"\0\0\0\0IEND\xaeB`\x82"
"""The last chunk, which is empty."""
CHUNKS = set(b"IHDR PLTE tRNS IDAT IEND iCCP gAMA cHRM sRGB sBIT bKGD hIST pHYs eXIf".split())
"""The chunks that the pixels need. Texts and private chunks could carry anything into the image store."""


def check_result_image(data: bytes) -> None:
    """Check that this is a decodable PNG of at most MAX_PIXELS, without texts and without anything behind its end.

    Raises:
        ImageError: it is not; `not_a_plain_png`, `image_too_large` or `image_unreadable`.
    """
    if not data.startswith(START):
        raise ImageError("not_a_plain_png", "an image that is no PNG")
    at, kind = len(SIGNATURE), b""
    while at < len(data) and kind != b"IEND":
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind not in CHUNKS or (kind == b"IHDR" and at != len(SIGNATURE)):
            raise ImageError("not_a_plain_png", f"a PNG with a part {kind!r}")
        at += 12 + size
    if not data.endswith(END) or at != len(data):
        raise ImageError("not_a_plain_png", "a PNG that does not end where it says")
    if int.from_bytes(data[16:20], "big") * int.from_bytes(data[20:24], "big") > MAX_PIXELS:
        raise ImageError("image_too_large", f"more than {MAX_PIXELS} pixels")
    check_image(data)
