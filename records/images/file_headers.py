"""The header of an image file, read before anything decodes it: format, completeness, number of frames, size.

The decoders stop reading once they have the pixels, so a file without its end passes some of them; that a file is whole
is seen from its own structure instead: chunks with their CRCs (Portable Network Graphics Specification, third edition,
section 5), blocks up to the trailer (GIF89a Specification, Appendix A), the RIFF header's size (WebP Container
Specification), boxes (ISO/IEC 14496-12, section 4.2), offsets (TIFF 6.0, section 2). JPEG has no lengths: only its
decoder sees the end.
"""

import struct
import zlib

from records.images.store import MAX_BYTES, ImageError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""The accepted formats, as Pillow names them. All are decoded within the process; none calls another program."""

_MAGIC = {
    b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"GIF87a": "GIF", b"GIF89a": "GIF",
    b"II*\0": "TIFF", b"MM\0*": "TIFF", b"II+\0": "TIFF", b"MM\0+": "TIFF",
}  # fmt: skip
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
"""The passes of an interlaced PNG: the place of the first pixel and the steps to the next, across and down."""
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
"""The number of bytes of a value, by its type."""
_TIFF_DATA = ((273, 279), (324, 325))
"""The tags that hold the places of a picture's strips or tiles, and the tags that hold their lengths."""
_AVIF_BRANDS = (b"avif", b"avis")
_OTHER_IMAGES = {
    b"8BPS": "a Photoshop file", b"\0\0\1\0": "an icon", b"qoif": "a QOI image",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 image", b"\xff\x4f\xff\x51": "a JPEG 2000 image",
    b"\0\0\0\x0cJXL ": "a JPEG XL image", b"\xff\x0a": "a JPEG XL image",
    **{b"P%d%c" % (number, space): "a portable anymap" for number in range(1, 8) for space in b" \n\r\t"},
}  # fmt: skip
_OTHER_FILES = {
    b"%PDF": "a PDF", b"%!PS": "PostScript", b"PK\3\4": "a zip archive", b"\x1f\x8b": "gzip",
    b"\x1a\x45\xdf\xa3": "a video",
}  # fmt: skip
_TEXTS = {
    b"version https://git-lfs": "a Git LFS pointer, not the file that it stands for",
    b"data:image/": "a data URI, not the bytes within", b"/9j/": "an image as base64 text",
    b"ivborw0kggo": "an image as base64 text", b"{": "JSON", b"[": "JSON",
}  # fmt: skip


def sniff(data: bytes) -> str:
    """The format of a file (one of FORMATS), by what is in it.

    Raises:
        ImageError: `not_an_image` (the detail says what it looks like), `image_format_unsupported` for an image of
            another format, `image_too_large` beyond MAX_BYTES.
    """
    if len(data) > MAX_BYTES:
        raise ImageError("image_too_large", f"{len(data)} bytes, at most {MAX_BYTES} are taken")
    for magic, name in _MAGIC.items():
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if data[4:8] == b"ftyp":
        brands = data[8 : min(int.from_bytes(data[:4], "big"), 64)]
        if any(brand in brands for brand in _AVIF_BRANDS):
            return "AVIF"
        if brands[:3] in (b"hei", b"hev") or brands[:4] in (b"mif1", b"msf1"):
            raise ImageError("image_format_unsupported", "a HEIF image")
        raise ImageError("not_an_image", "a video")
    for magic, name in _OTHER_IMAGES.items():
        if data.startswith(magic):
            raise ImageError("image_format_unsupported", name)
    raise ImageError("not_an_image", _looks_like(data))


def _looks_like(data: bytes) -> str:
    """What a file that is not an image seems to be, in words."""
    for magic, name in _OTHER_FILES.items():
        if data.startswith(magic):
            return name
    head = data[:2000].removeprefix(b"\xef\xbb\xbf").strip()
    lower = head.lower()
    if not head:
        return "no bytes" if not data else "only white space"
    if lower.startswith(b"<"):
        return "SVG" if b"<svg" in lower else "HTML" if b"<html" in lower or b"<!doctype html" in lower else "XML"
    for start, name in _TEXTS.items():
        if lower.startswith(start):
            return f"{name}: {_shown(head)}"
    return f"text: {_shown(head)}" if all(byte >= 32 or byte in b"\t\r\n" for byte in head) else "unknown bytes"


def _shown(text: bytes) -> str:
    return repr(text[:60].decode("utf-8", "replace"))


def _cut(what: str) -> ImageError:
    return ImageError("image_truncated", what)


def frames(data: bytes, kind: str) -> int:
    """The number of frames of a file of format `kind`, as far as its structure tells; 1 if it does not.

    Raises:
        ImageError: `image_truncated` for a file that is cut, `image_unreadable` for a damaged one.
    """
    if kind == "PNG":
        return _png_frames(data)
    if kind == "GIF":
        return _gif_frames(data)
    if kind == "WEBP" and (says := 8 + int.from_bytes(data[4:8], "little")) > len(data):
        raise _cut(f"{len(data)} of {says} bytes")
    if kind == "AVIF":
        _check_boxes(data)
    return 1


def _png_frames(data: bytes) -> int:
    view, at, count = memoryview(data), 8, 1
    while True:
        length = int.from_bytes(view[at : at + 4], "big")
        name, end = bytes(view[at + 4 : at + 8]), at + 12 + length
        if end > len(data):
            raise _cut(
                f"the chunk {name.decode('latin-1')!r} ends after the file" if name else "there is no IEND chunk"
            )
        if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise ImageError("image_unreadable", f"the chunk {name.decode('latin-1')!r} has another CRC")
        if name == b"acTL":  # animation control: the number of frames comes first
            count = int.from_bytes(view[at + 8 : at + 12], "big")
        if name == b"IEND":
            return count
        at = end


def png_is_short(data: bytes) -> bool:
    """Whether the compressed pixels of a PNG with whole chunks are fewer than its header promises."""
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    bits = data[24] * _PNG_CHANNELS[data[25]]
    passes = _ADAM7 if data[28] else [(0, 0, 1, 1)]
    columns = [(-(-(width - x) // right), -(-(height - y) // down)) for x, y, right, down in passes]
    # Each row of a pass has a byte more, for its filter.
    left = sum(rows * (1 + -(-across * bits // 8)) for across, rows in columns if across > 0 and rows > 0)
    inflate, at = zlib.decompressobj(), 8
    while at < len(data) and left > 0:
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        more = data[at + 8 : end - 4] if data[at + 4 : at + 8] == b"IDAT" else b""
        while more and left > 0:
            left -= len(inflate.decompress(more, 2**20))
            more = inflate.unconsumed_tail
        at = end
    return left > 0


def _gif_frames(data: bytes) -> int:
    def colours(flags: int) -> int:
        return 3 << (1 + (flags & 7)) if flags & 0x80 else 0

    count = 0
    try:
        at = 13 + colours(data[10])
        while data[at] != 0x3B:  # the trailer
            if data[at] == 0x21:  # an extension: its label comes before its sub-blocks
                at += 2
            elif data[at] == 0x2C:  # a frame: descriptor, colours and code size come before its sub-blocks
                count += 1
                at += 11 + colours(data[at + 9])
            else:  # padding, which decoders pass over
                at += 1
                continue
            while data[at]:
                at += 1 + data[at]
            at += 1
    except IndexError:
        raise _cut("the file ends before its trailer") from None
    return count


def _check_boxes(data: bytes) -> None:
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:  # the size is in 64 bits, after the name
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size == 0:  # the box reaches to the end
            return
        if size < 8:
            raise ImageError("image_unreadable", f"a box of {size} bytes")
        at += size
    if at > len(data):
        raise _cut(f"{len(data)} of {at} bytes")


def tiff_is_cut(data: bytes) -> bool:
    """Whether a TIFF points beyond its end. This is a question for files that fail only: some writers count too many
    bytes."""
    order = "<" if data[:2] == b"II" else ">"
    lists: dict[int, tuple[int, ...]] = {}
    try:
        version, directory = struct.unpack_from(order + "HI", data, 2)
        if version != 42:  # BigTIFF has other directories
            return False
        (entries,) = struct.unpack_from(order + "H", data, directory)
        for at in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind, count, value = struct.unpack_from(order + "HHII", data, at)
            size = _TIFF_SIZES.get(kind, 0) * count
            place = value if size > 4 else at + 8
            if place + size > len(data):
                return True
            if tag in sum(_TIFF_DATA, ()) and kind in (3, 4):
                lists[tag] = struct.unpack_from(f"{order}{count}{'H' if kind == 3 else 'I'}", data, place)
    except struct.error:
        return True
    pairs = (zip(lists.get(start, ()), lists.get(size, ()), strict=False) for start, size in _TIFF_DATA)
    return any(start + size > len(data) for pair in pairs for start, size in pair)


def webp_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) of a WebP by its header; its decoder takes memory for the canvas before it can be asked."""
    chunk = data[12:16]
    if chunk == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 ":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return None
