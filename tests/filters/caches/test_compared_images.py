"""Each image meets each benchmark image once, whatever comes and goes."""

import io

import numpy as np
import polars as pl
import pytest
from PIL import Image

from filters.caches.compared_images import ComparisonCache, Windows
from filters.contamination import images as image_contamination
from records.images.normal_form import normal_form
from records.images.store import ImageFacts
from records.recipe.questions import Decontamination
from records.tables import TableStore, to_frame

RULES = Decontamination()


def photo(seed):
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 255, (9, 12, 3), np.uint8))
    return coarse.resize((320, 240), Image.Resampling.BICUBIC)


def encoded(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


class Pictures:
    """Images by name, with what is known of them."""

    def __init__(self):
        self.data, self.facts = {}, {}

    def add(self, name, data):
        self.data[name] = data
        self.facts[name] = normal_form(data).facts.model_copy(update={"image": name})

    def table(self, *names):
        return to_frame([self.facts[name] for name in names], ImageFacts)


def rows(*names):
    return pl.DataFrame({"benchmark": "b", "row": [f"row of {name}" for name in names], "image": list(names)})


@pytest.fixture
def pictures():
    made = Pictures()
    for seed in range(4):
        made.add(f"bench{seed}", encoded(photo(seed), quality=95))
        made.add(f"crop{seed}", encoded(photo(seed).crop((20, 20, 260, 200)), quality=80))
        made.add(f"other{seed}", encoded(photo(seed + 50)))
    return made


def test_only_new_pairs_are_compared_and_nothing_is_forgotten(pictures, tmp_path, monkeypatch):
    asked = []
    hits = image_contamination.hits

    def counted(images, benchmark, *args):
        asked.append(images.height * benchmark.height)
        return hits(images, benchmark, *args)

    monkeypatch.setattr(image_contamination, "hits", counted)
    tables = TableStore(str(tmp_path / "tables"))

    def found(images, benchmark, rules=RULES):
        asked.clear()
        again = ComparisonCache(tables, str(tmp_path), pictures.data.__getitem__, rules)(images, benchmark)
        return set(again.select("image", "row").rows()), sum(asked)

    two, three = pictures.table("crop0", "other0"), pictures.table("crop0", "other0", "crop1")
    assert found(two, rows("bench0")) == ({("crop0", "row of bench0")}, 2)
    assert found(two, rows("bench0")) == ({("crop0", "row of bench0")}, 0)
    both = {("crop0", "row of bench0"), ("crop1", "row of bench1")}
    assert found(three, rows("bench0", "bench1")) == (both, 2 + 2)
    # An image that is gone while a benchmark comes has not met it.
    assert found(two, rows("bench0", "bench1", "bench2")) == ({("crop0", "row of bench0")}, 2)
    assert found(three, rows("bench0", "bench1", "bench2")) == (both, 3)
    assert found(three, rows("bench0", "bench1", "bench2"), Decontamination(crops=False)) == (set(), 9)


def test_windows_are_made_once(pictures, tmp_path):
    made = []

    def make():
        made.append(1)
        return np.arange(5, dtype=np.int64)

    for _ in range(2):
        assert Windows(str(tmp_path))("ab12", make).tolist() == [0, 1, 2, 3, 4]
    assert len(made) == 1
