"""Images that show an evaluation set's image, or a part of it, are found; others of their kind are not."""

import io

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageDraw, ImageOps

from filters.contamination.images import HITS, boxes, hits, windows
from records.images.perceptual_hash import describe
from records.recipe.questions import Decontamination

RULES = Decontamination()


def photo(seed, size=(640, 480)):
    draws = np.random.default_rng(seed)
    layers = [
        Image.fromarray(draws.integers(0, 256, (cells, cells, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
        for cells in (5, 24)
    ]
    image = Image.blend(*layers, 0.4)
    pen = ImageDraw.Draw(image)
    for _ in range(6):
        x, y = (int(place) for place in draws.integers(0, 420, 2))
        pen.rectangle((x, y, x + 90, y + 50), fill=tuple(int(level) for level in draws.integers(0, 256, 3)))
    return image


def crop(image, seed):
    """A part of 15 to 90 % of the area, wider or taller by up to 2, and where it lies."""
    draws = np.random.default_rng(seed)
    while True:
        area, shape = draws.uniform(0.15, 0.9), 2 ** draws.uniform(-1, 1)
        across, down = np.sqrt(area * shape), np.sqrt(area / shape)
        if max(across, down) <= 1:
            break
    x, y = draws.uniform(0, 1 - across) * image.width, draws.uniform(0, 1 - down) * image.height
    part = image.crop((round(x), round(y), round(x + across * image.width), round(y + down * image.height)))
    return part.resize((round(part.width * 0.8), round(part.height * 0.85)))


class Store(dict):
    def add(self, name, image, kind="JPEG", quality=85):
        buffer = io.BytesIO()
        image.save(buffer, kind, quality=quality)
        self[name] = buffer.getvalue()

    def table(self, start):
        rows = {name: describe(Image.open(io.BytesIO(data))) for name, data in self.items() if name.startswith(start)}
        columns = {key: [getattr(look, key) for look in rows.values()] for key in ("phash", "inner_phash", "thumbnail")}
        return pl.DataFrame({"image": list(rows), **columns})


def benchmark(*names):
    return pl.DataFrame(
        [("vstar_bench", str(i), name) for i, name in enumerate(names)],
        schema=["benchmark", "row", "image"],
        orient="row",
    )


def test_wholes_and_crops_are_found_and_named_and_nothing_else():
    store = Store()
    for seed in range(3):
        image = photo(seed)
        store.add(f"b{seed}", image, quality=92)
        store.add(f"t-whole-{seed}", image.resize((500, 390)), quality=50)
        store.add(f"t-whole-{seed}-framed", ImageOps.expand(image, 40, "black"))
        for part in range(5):
            store.add(f"t-crop-{seed}-{part}", crop(image, 10 * seed + part), quality=60)
    for seed in range(100, 125):
        store.add(f"t-other-{seed}", photo(seed))
    found = hits(store.table("t"), benchmark("b0", "b1", "b2"), store.__getitem__, RULES)
    assert found.schema == HITS
    of = found["image"].str.split("-")
    assert (of.list.get(1) == found["kind"]).all()  # so none of the others
    assert (of.list.get(2) == found["row"]).all()
    assert found.filter(kind="whole").height == 6
    assert found.filter(kind="crop").height >= 13  # of 15
    assert found["score"].is_between(0.75, 1).all()
    without = hits(store.table("t"), benchmark("b0", "b1", "b2"), store.__getitem__, Decontamination(crops=False))
    assert without["kind"].to_list() == ["whole"] * 6


def test_every_row_of_the_benchmark_with_the_image_is_named_and_equal_bytes_need_no_pixels():
    store = Store()
    store.add("same", photo(5))
    read = []
    found = hits(store.table("same"), benchmark("same", "same"), lambda name: read.append(name) or store[name], RULES)
    assert found.sort("row").rows() == [
        ("same", "vstar_bench", "0", "whole", 1.0),
        ("same", "vstar_bench", "1", "whole", 1.0),
    ]
    assert read == ["same"]


def test_windows_that_were_kept_are_used():
    store, asked = Store(), []
    store.add("b", photo(7))
    store.add("t", crop(photo(7), 3))
    kept = windows(Image.open(io.BytesIO(store["b"])))
    assert kept.dtype == np.int64 and len(kept) == len(boxes()) + 1
    args = (store.table("t"), benchmark("b"), store.__getitem__, RULES)
    assert hits(*args, kept=lambda name, make: asked.append(name) or kept).equals(hits(*args))
    assert asked == ["b"]
    assert hits(*args, kept=lambda name, make: np.zeros_like(make())).height == 0


@pytest.mark.parametrize("colour", ["white", "black", "#808080"])
def test_empty_pictures_are_no_part_of_anything(colour):
    store = Store()
    page = Image.new("RGB", (600, 400), colour)
    ImageDraw.Draw(page).rectangle((20, 20, 120, 120), outline="red", width=6)
    store.add("b", page)
    store.add("t", page.crop((200, 150, 590, 390)))
    store.add("t2", Image.new("RGB", (64, 64), colour))
    assert hits(store.table("t"), benchmark("b"), store.__getitem__, RULES).height == 0


def test_nothing_to_look_at():
    store = Store()
    store.add("t", photo(1))
    images = store.table("t")
    for some, of in ((images, benchmark()), (images.clear(), benchmark("t"))):
        found = hits(some, of.cast({"image": pl.String, "row": pl.String, "benchmark": pl.String}), store.get, RULES)
        assert found.height == 0 and found.schema == HITS


def test_the_first_window_is_the_whole_and_all_are_inside():
    assert boxes()[0].tolist() == [0, 0, 1, 1]
    left, top, right, bottom = boxes().T
    assert (boxes() >= 0).all() and (boxes() <= 1 + 1e-9).all()
    area, shape = (right - left) * (bottom - top), (right - left) / (bottom - top)
    assert area.min() < 0.15 and shape.max() > 1.8 and shape.min() < 0.56
