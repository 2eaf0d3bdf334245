"""Images of every kind that data sets hold: kept, made plain, or refused with a reason."""

import functools
import io
import struct
import zlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, PngImagePlugin

from records.images import normal_form as module
from records.images.normal_form import normal_form
from records.images.store import ImageError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")
WIDE, HIGH = 400, 260


def picture(seed=0, size=(WIDE, HIGH)):
    """Coloured patches, red in the top left corner and blue in the bottom right one."""
    cells = np.random.default_rng(seed).integers(0, 255, (6, 8, 3)).astype(np.uint8)
    cells[:2, :2], cells[-2:, -2:] = (230, 20, 20), (20, 20, 230)
    return Image.fromarray(cells).resize(size, Image.Resampling.NEAREST)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation):
    tags = Image.Exif()
    tags[274] = orientation
    return tags.tobytes()


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, bits, colour, rows, *more, interlaced=0):
    """A PNG of any depth and colour type (rows without filter bytes), with chunks before its pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced))
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + pixels + chunk(b"IEND", b"")


SEVEN_PASSES = [b"\x40\x50\x60" * pixels for pixels in (1, 1, 2, 2, 2, 4, 4, 4, 4, 4, 4, 8, 8, 8, 8)]
"""The rows of an 8x8 picture of one colour, interlaced (PNG specification, section 8.2)."""


def without_adobe(jpeg):
    at = jpeg.index(b"\xff\xee")
    return jpeg[:at] + jpeg[at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big") :]


def frames(kind, **options):
    return encoded(picture(), kind, save_all=True, append_images=[picture(1), picture(2)], **options)


def taken(data):
    """The picture that is stored, and its facts."""
    normal = normal_form(data)
    with Image.open(io.BytesIO(normal.data)) as image:
        image.load()
    assert (image.mode in ("RGB", "L"), image.format.lower()) == (True, normal.facts.format)
    assert image.size == (normal.facts.width, normal.facts.height)
    return image, normal.facts


def refused(data):
    with pytest.raises(ImageError) as error:
        normal_form(data)
    return error.value


@functools.cache
def clean():
    grey, ends_black, ends_grey = picture().convert("L"), picture(), picture()
    ends_black.paste((0, 0, 0), (0, 200, WIDE, HIGH))
    ends_grey.paste((128, 128, 128), (0, 200, WIDE, HIGH))
    return {
        "jpeg": encoded(picture(), "JPEG"),
        "jpeg, progressive": encoded(picture(), "JPEG", progressive=True),
        "jpeg, restarts": encoded(picture(), "JPEG", restart_marker_rows=1),
        "jpeg, grey": encoded(grey, "JPEG"),
        "jpeg, upright by EXIF": encoded(picture(), "JPEG", exif=exif(1)),
        "jpeg, no such orientation": encoded(picture(), "JPEG", exif=exif(77)),
        "jpeg, broken EXIF": encoded(picture(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"),
        "jpeg, bytes behind its end": encoded(picture(), "JPEG") + b"\0" * 100,
        "jpeg, grey at its end": encoded(ends_grey, "JPEG"),
        "jpeg, progressive and grey": encoded(ends_grey, "JPEG", progressive=True),
        "jpeg, small": encoded(picture(size=(9, 5)), "JPEG"),
        "png": encoded(picture(), "PNG"),
        "png, grey": encoded(grey, "PNG"),
        "png, black at its end": encoded(ends_black, "PNG"),
        "png, interlaced": png(8, 8, 8, 2, SEVEN_PASSES, interlaced=1),
        "png, small": encoded(picture(size=(2, 2)), "PNG"),
        "webp": encoded(picture(), "WEBP"),
        "webp, lossless": encoded(picture(), "WEBP", lossless=True),
        "mpo": encoded(picture(), "MPO", save_all=True, append_images=[picture(1)]),
    }


@pytest.mark.parametrize("name", clean())
def test_a_plain_image_is_stored_as_it_came(name):
    data = clean()[name]
    normal = normal_form(data)
    assert normal.data is data and normal.facts.changes == []
    assert normal.facts.image == normal.facts.arrived
    assert normal.facts.format == {"mpo": "jpeg"}.get(name, name.partition(",")[0])
    assert (normal.facts.width, normal.facts.height) == Image.open(io.BytesIO(data)).size


@functools.cache
def made_plain():
    """File, changes, format it is stored in, and colours of the top left and the bottom right corner."""
    image = picture()
    red, blue, white = (230, 20, 20), (20, 20, 230), (255, 255, 255)
    clear = image.convert("RGBA")
    clear.paste((0, 200, 0, 0), (0, 0, 40, 40))
    grey_clear = Image.new("LA", (40, 30), (0, 0))
    grey_clear.paste((90, 255), (20, 0, 40, 30))
    palette = image.quantize(16)
    palette_clear = encoded(palette, "PNG", transparency=palette.getpixel((0, 0)))
    deep = np.full((30, 40), 0x4000, np.uint16)
    deep[15:] = 0xFFFF
    row16 = b"".join(struct.pack(">HHH", 0xE6E6, 0x1414, 0x1414) for _ in range(40))
    key16 = chunk(b"tRNS", struct.pack(">HHH", 0xE6E6, 0x1414, 0x1414))
    lossy = image.convert("CMYK")
    floats = Image.fromarray(np.repeat(np.float32([0, 1]), 600).reshape(30, 40))
    lab = Image.merge("LAB", [Image.new("L", (40, 30), level) for level in (206, 128, 128)])
    jpeg, converted = encoded(lossy, "JPEG"), ["cmyk_converted"]
    return {
        "jpeg turned": (encoded(image, "JPEG", exif=exif(3)), ["exif_rotated"], "jpeg", blue, red),
        "webp turned": (
            encoded(image, "WEBP", lossless=True, exif=exif(3)), ["exif_rotated", "format_changed"], "png", blue, red,
        ),
        "png turned": (encoded(image, "PNG", exif=exif(3)), ["exif_rotated"], "png", blue, red),
        "tiff turned": (
            encoded(image, "TIFF", tiffinfo={274: 3}), ["exif_rotated", "format_changed"], "png", blue, red,
        ),
        "png with alpha": (encoded(clear, "PNG"), ["alpha_flattened"], "png", white, blue),
        "webp with alpha": (
            encoded(clear, "WEBP", lossless=True), ["alpha_flattened", "format_changed"], "png", white, blue,
        ),
        "grey with alpha": (encoded(grey_clear, "PNG"), ["alpha_flattened"], "png", 255, 90),
        "palette": (encoded(palette, "PNG"), ["palette_expanded"], "png", red, blue),
        "palette with a clear colour": (palette_clear, ["palette_expanded", "alpha_flattened"], "png", white, blue),
        "a clear colour": (
            encoded(image, "PNG", transparency=red), ["alpha_flattened"], "png", white, blue,
        ),
        "cmyk": (jpeg, converted, "jpeg", red, blue),
        "cmyk without Adobe's mark": (
            without_adobe(encoded(Image.eval(lossy, lambda value: 255 - value), "JPEG")), converted, "jpeg", red, blue,
        ),
        "cmyk tiff": (encoded(lossy, "TIFF"), ["cmyk_converted", "format_changed"], "png", red, blue),
        "16-bit grey": (encoded(Image.fromarray(deep), "PNG"), ["depth_reduced"], "png", 64, 255),
        "16-bit grey with a clear one": (
            encoded(Image.fromarray(deep), "PNG", transparency=0x4000),
            ["depth_reduced", "alpha_flattened"], "png", 255, 255,
        ),
        "16-bit colour": (png(40, 9, 16, 2, [row16] * 9), ["depth_reduced"], "png", red, red),
        "16-bit colour, clear": (
            png(40, 9, 16, 2, [row16] * 9, key16), ["depth_reduced", "alpha_flattened"], "png", white, white,
        ),
        "16-bit tiff": (
            encoded(Image.fromarray(deep), "TIFF"), ["depth_reduced", "format_changed"], "png", 64, 255,
        ),
        "float tiff": (encoded(floats, "TIFF"), ["depth_reduced", "format_changed"], "png", 0, 255),
        "1 bit": (encoded(Image.new("1", (40, 30), 1), "PNG"), ["depth_expanded"], "png", 255, 255),
        "4-bit grey": (png(40, 9, 4, 0, [b"\x11" * 20] * 9), ["depth_expanded"], "png", 17, 17),
        "gif": (encoded(palette, "GIF"), ["palette_expanded", "format_changed"], "png", red, blue),
        "bmp": (encoded(image, "BMP"), ["format_changed"], "png", red, blue),
        "tiff": (encoded(image, "TIFF", compression="tiff_lzw"), ["format_changed"], "png", red, blue),
        "lab tiff": (encoded(lab, "TIFF"), ["mode_converted", "format_changed"], "png", (201,) * 3, (201,) * 3),
        "avif": (encoded(image, "AVIF", quality=95), ["format_changed"], "png", red, blue),
    }  # fmt: skip


@pytest.mark.parametrize("name", made_plain())
def test_any_other_image_is_made_plain(name):
    data, changes, kind, first, last = made_plain()[name]
    image, facts = taken(data)
    assert (facts.changes, facts.format) == (changes, kind)
    assert facts.image != facts.arrived and not image.info.keys() & {"exif", "transparency", "icc_profile", "comment"}
    for place, expected in (((1, 1), first), ((image.width - 2, image.height - 2), last)):
        if expected is not None:
            found = np.array(image.getpixel(place), int)
            assert np.abs(found - expected).max() <= (6 if kind == "jpeg" or name == "avif" else 1), (place, found)
    # It is its own normal form, and made the same way every time.
    stored = normal_form(data).data
    assert normal_form(stored).facts.changes == [] and normal_form(data).data == stored


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright(orientation):
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose, from upright to how a camera stores it
    stored = picture() if orientation == 1 else picture().transpose(Image.Transpose(turns[orientation]))
    image, facts = taken(encoded(stored, "PNG", exif=exif(orientation)))
    assert image.tobytes() == picture().tobytes() and (facts.changes == []) == (orientation == 1)


@functools.cache
def planted():
    """Reason -> files, by what is wrong with them."""
    jpeg, whole_png, gif = clean()["jpeg"], clean()["png"], encoded(picture().quantize(16), "GIF")
    text, profile = PngImagePlugin.PngInfo(), chunk(b"iCCP", b"x\0\0" + zlib.compress(b"\0" * 3_000_000))
    text.add_text("a", "\0" * 3_000_000, zip=True)
    row = b"\0" * 12
    sof = jpeg.index(b"\xff\xc0") + 5
    huge = struct.pack(">HH", 65000, 65000)
    webp = bytearray(encoded(picture(), "WEBP", exif=exif(1)))
    webp[24:30] = (16000).to_bytes(3, "little") * 2
    broken_crc = bytearray(whole_png)
    broken_crc[whole_png.index(b"IDAT") + 40] ^= 1
    bmp = encoded(picture(), "BMP")
    return {
        "image_truncated": [
            *(data[: len(data) * 2 // 3] for name, data in clean().items() if name != "mpo"),
            *(data[:-2] for name, data in clean().items() if "jpeg" in name and "behind" not in name),
            whole_png[:-12], whole_png[:-1], gif[:-1], gif[: len(gif) // 2], bmp[:-9],
            *(encoded(picture(), "TIFF", compression=how)[:-100] for how in (None, "tiff_lzw", "jpeg")),
            encoded(picture(), "AVIF")[:-40],
            png(4, 900, 8, 2, [row] * 20),  # the pixels end early in a file that is whole
            png(8, 8, 8, 2, SEVEN_PASSES[:-1], interlaced=1),
            jpeg[:sof] + struct.pack(">HH", 2 * HIGH, WIDE) + jpeg[sof + 4 :],
            *(clean()[name][: len(jpeg) // 2] + b"\xff\xd9" for name in ("jpeg", "jpeg, restarts")),
        ],
        "image_unreadable": [
            bytes(broken_crc), b"\xff\xd8\xff" + b"\0" * 500 + b"\xff\xda", b"GIF89a" + b"\1\0\1\0\0\0\0;",
            b"RIFF\x08\0\0\0WEBPVP8 ",
        ],
        "image_too_large": [
            jpeg[:sof] + huge + jpeg[sof + 4 :],
            png(60000, 60000, 8, 0, []), png(2_000_000_000, 2_000_000_000, 16, 6, []),
            encoded(picture(), "PNG", pnginfo=text), png(4, 4, 8, 2, [row] * 4, profile),
            whole_png[:-12] + chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * 3_000_000)) + whole_png[-12:],
            bytes(webp), gif[:6] + b"\xff\xff\xff\xff" + gif[10:],
            bmp[:18] + struct.pack("<ii", 30000, 30000) + bmp[26:],
        ],
        "image_animated": [
            frames("GIF"), frames("PNG"), frames("WEBP"), frames("AVIF"), frames("TIFF"),
        ],
        "image_one_pixel": [
            encoded(picture(size=(1, 50)), "PNG"), encoded(picture(size=(50, 1)), "JPEG"),
            encoded(picture(size=(1, 1)), "GIF"),
        ],
        "image_format_unsupported": [
            encoded(picture(), "JPEG2000"), encoded(picture(), "PPM"), b"8BPS\0\1",
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        ],
        "not_an_image": [
            b"", b" \n", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<?xml version='1.0'?>\n<svg/>",
            b"\xef\xbb\xbf<!DOCTYPE html><title>404", b"<html><body>", b"<?xml version='1.0'?><Error/>",
            b'{"error": "not found"}', b"%PDF-1.7", b"%!PS-Adobe", b"BMW is a maker of cars", b"PK\3\4",
            b"version https://git-lfs.github.com/spec/v1", b"/9j/4AAQSkZJRg", b"\x1f\x8b\x08", bytes(range(1, 32)),
            b"\0\0\0\x18ftypisom\0\0\0\0mp42",
        ],
    }  # fmt: skip


def test_every_planted_defect_is_found_and_no_clean_image_is_lost():
    for reason, files in planted().items():
        found = Counter(refused(data).reason for data in files)
        assert found == {reason: len(files)}, [(refused(data), data[:40]) for data in files]
    assert sum(len(files) for files in planted().values()) >= 55
    kept = [*clean().values(), *(made[0] for made in made_plain().values())]
    assert len([normal_form(data) for data in kept]) == len(kept) >= 40


def test_what_is_no_image_is_named():
    says = {refused(data).detail.partition(":")[0] for data in planted()["not_an_image"]}
    assert {"no bytes", "SVG", "HTML", "XML", "JSON", "a PDF", "text", "unknown bytes", "a video"} <= says
    assert "3 frames or pages" in refused(frames("GIF")).detail
    assert refused(b"BMW is a maker").detail == "text: 'BMW is a maker'"


@pytest.mark.parametrize("name", ["jpeg", "jpeg, progressive", "jpeg, restarts", "jpeg, grey", "jpeg, small"])
def test_scaled_decoding_still_reads_the_whole_stream(name, monkeypatch):
    data = clean()[name]
    sizes = []
    describe = module.describe
    monkeypatch.setattr(module, "describe", lambda image: sizes.append(image.size) or describe(image))
    normal_form(data)
    assert sizes[0] == ((200, 130) if name != "jpeg, small" else (9, 5))
    for cut in (1, 2, 3, 9, len(data) // 10, len(data) // 2):
        assert refused(data[:-cut]).reason == "image_truncated"


@pytest.mark.parametrize(
    "data",
    [clean()[name] for name in ("jpeg", "png", "png, grey", "webp", "webp, lossless")]
    + [made_plain()[name][0] for name in ("gif", "bmp", "tiff", "avif")],
)
def test_a_cut_anywhere_is_found_in_every_format(data):
    for cut in (1, 2, 3, 4, 8, 12, len(data) // 10, len(data) // 3, len(data) // 2, len(data) - 30):
        assert refused(data[:-cut]).reason == "image_truncated", cut


def test_what_others_set_globally_does_not_matter(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for data in planted()["image_truncated"]:
        assert refused(data).reason == "image_truncated"
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_a_picture_looks_the_same_however_it_is_stored():
    hashes = [normal_form(encoded(picture(5, (900, 700)), kind)).facts.phash for kind in ("PNG", "JPEG", "WEBP", "BMP")]
    assert all((first ^ hashes[0]).bit_count() <= 4 for first in hashes)
    assert (normal_form(encoded(picture(6, (900, 700)), "PNG")).facts.phash ^ hashes[0]).bit_count() > 10


def test_numbers_of_other_ranges_become_grey():
    def corners(values, dtype):
        image, _ = taken(encoded(Image.fromarray(np.array(values, dtype).repeat(8, 0).repeat(8, 1)), "TIFF"))
        return [image.getpixel((x, 1)) for x in (1, image.width - 2)]

    assert corners([[0, 200]], np.int32) == [0, 200]
    assert corners([[0, 65535]], np.int32) == [0, 255]
    assert corners([[-50, 50]], np.float32) == [0, 255]
    assert corners([[0.5, 1.0]], np.float32) == [128, 255]
    assert corners([[np.nan, 255.0]], np.float32) == [0, 255]
    assert corners([[7.0, 7.0]], np.float32) == [7, 7]


SAMPLES = [*clean().values(), *(made[0] for made in made_plain().values())]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    sample=st.integers(0, len(SAMPLES) - 1),
    cut=st.floats(0, 1),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=8),
)
def test_damaged_bytes_are_an_image_or_an_image_error(sample, cut, changes):
    data = bytearray(SAMPLES[sample])
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    if cut < 0.5:
        del data[int(2 * cut * len(data)) :]
    try:
        facts = normal_form(bytes(data)).facts
    except ImageError as error:
        assert error.reason.startswith("image_") or error.reason == "not_an_image"
    else:
        assert facts.width * facts.height > 0 and len(facts.thumbnail) == 768
