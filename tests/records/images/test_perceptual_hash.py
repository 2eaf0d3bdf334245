"""What a picture looks like stays the same through re-encoding, resizing and borders."""

import io

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps

from records.images.perceptual_hash import CELLS, describe, enclosed


def photo(seed, size=(320, 240)):
    draws = np.random.default_rng(seed)
    noise = Image.fromarray(draws.integers(0, 256, (6, 8, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(noise)
    for _ in range(4):
        x, y = draws.integers(0, size[0] - 60), draws.integers(0, size[1] - 60)
        pen.rectangle((x, y, x + 60, y + 40), fill=tuple(int(level) for level in draws.integers(0, 256, 3)))
    return noise


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return Image.open(io.BytesIO(buffer.getvalue()))


def bits(one, other):
    return bin((one ^ other) & (2**64 - 1)).count("1")


CHANGES = {
    "jpeg": lambda image: encoded(image, "JPEG", quality=30),
    "webp": lambda image: encoded(image, "WEBP", quality=40),
    "half": lambda image: image.resize((image.width // 2, image.height // 2)),
    "double": lambda image: image.resize((image.width * 2, image.height * 2)),
    "uneven": lambda image: image.resize((round(image.width * 0.9), round(image.height * 1.1))),
    "brighter": lambda image: image.point(lambda level: min(255, level + 15)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_hash_survives(change):
    for seed in range(10):
        image = photo(seed)
        assert bits(describe(image).phash, describe(CHANGES[change](image)).phash) <= 6


def test_other_pictures_have_other_hashes():
    found = [describe(photo(seed)).phash for seed in range(20)]
    assert min(bits(a, b) for i, a in enumerate(found) for b in found[:i]) > 12


@given(
    st.integers(0, 30), st.tuples(*[st.integers(8, 24)] * 4), st.sampled_from(["black", "white"]),
    st.booleans(),
)  # fmt: skip
@example(0, (10, 10, 8, 8), "black", True)  # what JPEG leaves beside the edge reaches the outermost line
@example(1, (13, 18, 8, 22), "black", True)
@settings(max_examples=40, deadline=None)
def test_borders_do_not_count(seed, border, colour, jpeg):
    image = photo(seed)
    with_border = ImageOps.expand(image, border, colour)
    with_border = encoded(with_border, "JPEG", quality=80) if jpeg else with_border
    plain, framed = describe(image), describe(with_border)
    assert plain.phash == plain.inner_phash
    assert bits(plain.inner_phash, framed.inner_phash) <= 8
    cells = [np.frombuffer(look.thumbnail, np.uint8).astype(int) for look in (plain, framed)]
    assert np.abs(cells[0] - cells[1]).mean() < 10
    left, top, right, bottom = enclosed(with_border)
    width, height = with_border.size
    inside = (border[0], border[1], width - border[2], height - border[3])
    assert np.allclose((left * width, top * height, right * width, bottom * height), inside, atol=3)


def test_a_frame_around_margins_is_a_border_around_a_border():
    page = Image.new("RGB", (300, 400), "white")
    pen = ImageDraw.Draw(page)
    for y in range(30, 370, 12):
        pen.text((20, y), "one two three four five six seven eight nine"[y % 9 :], "black")
    framed = ImageOps.expand(page, 20, "black")
    assert bits(describe(page).inner_phash, describe(framed).inner_phash) <= 4
    assert bits(describe(page).phash, describe(framed).phash) > 10


def test_the_place_of_a_thing_on_a_background_counts():
    looks = []
    for place in (5, 25):
        image = Image.new("RGB", (64, 64), "white")
        ImageDraw.Draw(image).rectangle((place, place, place + 20, place + 20), fill="red")
        looks.append(describe(image))
    assert looks[0].phash == looks[0].inner_phash and looks[0].thumbnail != looks[1].thumbnail
    assert bits(looks[0].phash, looks[1].phash) > 10


@pytest.mark.parametrize("size", [(2, 2), (1000, 2), (3, 700), (64, 64), (17, 5000)])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_any_size_and_mode_has_a_look(size, mode):
    look = describe(Image.new(mode, size))
    assert len(look.thumbnail) == 3 * CELLS**2 and look.phash == look.inner_phash == 0


def test_flat_pictures_have_no_bits_of_noise():
    for colour in ("white", "#808080", "#204060"):
        image = Image.new("RGB", (200, 100), colour)
        assert {describe(image).phash, describe(encoded(image, "JPEG", quality=30)).phash} == {0}
