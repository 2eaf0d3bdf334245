"""Images of one picture are one, others are not, and what comes later changes nothing."""

import io
from functools import cache

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps

from filters.duplicates.images import groups
from records.images.perceptual_hash import describe

BITS = 10


def table(images):
    looks = [describe(image) for image in images]
    return pl.DataFrame(
        {
            "image": [f"{i:04}" for i in range(len(looks))],
            "phash": [look.phash for look in looks],
            "inner_phash": [look.inner_phash for look in looks],
            "thumbnail": [look.thumbnail for look in looks],
        },
        schema={"image": pl.String, "phash": pl.Int64, "inner_phash": pl.Int64, "thumbnail": pl.Binary},
    )


def photo(seed):
    draws = np.random.default_rng(seed)
    image = Image.fromarray(draws.integers(0, 256, (6, 8, 3), np.uint8)).resize((320, 240), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for _ in range(4):
        x, y = (int(place) for place in draws.integers(0, 200, 2))
        pen.ellipse((x, y, x + 70, y + 40), fill=tuple(int(level) for level in draws.integers(0, 256, 3)))
    return image


def page(seed):
    draws = np.random.default_rng(seed)
    image = Image.new("RGB", (400, 500), "white")
    pen = ImageDraw.Draw(image)
    for y in range(30, 470, 14):
        pen.text((30, y), "".join(draws.choice(list("abcdefghij   "), draws.integers(10, 56))), "black")
    return image


def chart(seed, heights=None):
    draws = np.random.default_rng(seed)
    heights = draws.uniform(0.1, 1, 6) if heights is None else heights
    image = Image.new("RGB", (400, 300), "white")
    pen = ImageDraw.Draw(image)
    pen.rectangle((40, 20, 380, 260), outline="black")
    for i, height in enumerate(heights):
        pen.rectangle((50 + i * 54, 260 - 230 * height, 90 + i * 54, 260), fill="#1f77b4")
    return image


def again(image, kind, quality, factor, border):
    if border:
        image = ImageOps.expand(image, border, ("black", "white")[border % 2])
    image = image.resize((round(image.width * factor), round(image.height * factor * 1.04)))
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=quality)
    return Image.open(buffer).convert("RGB")


@pytest.mark.parametrize(("kind", "least"), [(photo, 39), (page, 32), (chart, 37)])
def test_planted_copies_are_found_and_no_other_image_is_merged(kind, least):
    originals = [kind(seed) for seed in range(40)]
    draws = np.random.default_rng(1)
    copies = [
        again(
            image, str(draws.choice(["JPEG", "WEBP", "PNG"])), int(draws.integers(50, 95)), draws.uniform(0.7, 1.6),
            int(draws.choice([0, 0, 12, 17])),
        )
        for image in originals
    ]  # fmt: skip
    found = groups(table(originals + copies), BITS)
    names = found["image"][:40].to_list()
    assert found["representative"][:40].to_list() == names
    right, alone = found["representative"][40:] == found["image"][:40], found["distance"][40:] == 0
    assert right.sum() >= least and (right | alone).all()
    assert found["distance"][:40].to_list() == [0] * 40 and found["distance"].max() <= BITS


def test_one_bar_of_another_height_is_another_chart():
    heights = [0.3, 0.9, 0.5, 0.7, 0.4, 0.8]
    found = groups(table([chart(0, heights), chart(0, [*heights[:5], 0.6]), chart(0, heights)]), BITS)
    assert found["representative"].to_list() == ["0000", "0001", "0000"]


def test_shapes_differ_by_colour_form_and_place():
    images = []
    for colour in ("red", "blue", "green", "gray", "teal"):
        for form in ("rectangle", "ellipse"):
            for place in (8, 26):
                image = Image.new("RGB", (64, 64), "#e8f0e8")
                getattr(ImageDraw.Draw(image), form)((place, 20, place + 22, 42), fill=colour)
                images.append(image)
    found = groups(table(images), BITS)
    assert found["representative"].to_list() == found["image"].to_list()


def test_flat_pictures_are_told_apart_by_their_colour():
    colours = ["white", "white", "#fafafa", "black", "red", "#f80000", "blue"]
    found = groups(table([Image.new("RGB", (90, 90), colour) for colour in colours]), BITS)
    assert found["representative"].to_list() == ["0000", "0000", "0000", "0003", "0004", "0004", "0006"]


@cache
def mixed():
    originals = [make(seed) for make in (photo, chart) for seed in range(12)]
    return table(originals + [again(image, "JPEG", quality, 0.8, 0) for image in originals for quality in (40, 80)])


@given(st.permutations(range(72)), st.integers(1, 71))
@settings(max_examples=20, deadline=None)
def test_images_that_come_later_change_no_group(order, first):
    images = mixed()[list(order)]
    whole = groups(images, BITS)
    assert groups(images.head(first), BITS).equals(whole.head(first))
    # Every representative is itself kept and comes first; no two kept images are one.
    kept = whole.filter(pl.col("image") == pl.col("representative"))
    assert whole["representative"].is_in(kept["image"].to_list()).all()
    place = {image: i for i, image in enumerate(whole["image"])}
    assert all(place[kept_by] <= place[image] for image, kept_by, _ in whole.iter_rows())
    assert groups(images.filter(images["image"].is_in(kept["image"].to_list())), BITS)["distance"].max() == 0
    assert kept.height == 24


def hashed(n, seed=0):
    """Many hashes with thumbnails that agree exactly for planted copies: (table, originals of the copies)."""
    draws = np.random.default_rng(seed)
    hashes = draws.integers(-(2**62), 2**62, n)
    shown = draws.integers(0, 256, (n, 768), dtype=np.uint8)
    copies = np.arange(n - n // 5, n)
    originals = draws.integers(0, n - n // 5, len(copies))
    hashes[copies] = hashes[originals] ^ (np.int64(1) << draws.integers(0, 62, len(copies)))
    shown[copies] = shown[originals]
    names = [str(i) for i in range(n)]
    return pl.DataFrame(
        {"image": names, "inner_phash": hashes, "thumbnail": [row.tobytes() for row in shown]}
    ), originals


def test_the_blocks_of_a_large_table_are_searched_like_one():
    images, originals = hashed(10_000)
    found = groups(images, BITS)
    assert found["representative"][-2000:].to_list() == [str(original) for original in originals]
    assert (found["representative"][:8_000] == found["image"][:8_000]).all()
    assert groups(images.head(8_501), BITS).equals(found.head(8_501))


def test_one_picture_ten_thousand_times_is_one_group():
    one = table([photo(0)])
    many = pl.concat([one] * 10_000).with_columns(image=pl.int_range(10_000).cast(pl.String))
    assert groups(many, BITS)["representative"].unique().to_list() == ["0"]


def test_images_without_a_look_are_alone():
    images = table([photo(0), photo(0), photo(0), photo(0)]).with_row_index("row")
    broken = images.with_columns(
        inner_phash=pl.when(pl.col("row") != 1).then("inner_phash"),
        thumbnail=pl.when(pl.col("row") != 2).then("thumbnail").otherwise(pl.lit(b"")),
    )
    assert groups(broken, BITS)["representative"].to_list() == ["0000", "0001", "0002", "0000"]
    assert groups(images.clear(), BITS).height == 0


def test_real_pictures_of_a_vqa_set_are_not_merged():
    easy_vqa = pytest.importorskip("easy_vqa")
    paths = list(easy_vqa.get_train_image_paths().values())[:300]
    found = groups(table([Image.open(path) for path in paths]), BITS)
    assert found.filter(pl.col("image") != pl.col("representative")).height == 0
