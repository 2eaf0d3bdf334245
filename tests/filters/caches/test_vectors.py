import logging

import numpy as np
import polars as pl

from filters.caches.vectors import VectorStore


def vectors(*rows):
    return np.array(rows, np.float16)


KEYS = pl.Series([bytes([number]) * 16 for number in range(4)])


def test_what_was_stored_is_read_by_key_and_what_is_missing_is_told(tmp_path):
    store = VectorStore(str(tmp_path / "vectors"))
    assert store.read(KEYS)[0] is None
    store.add(KEYS[:2], vectors([1, 2], [3, 4]))
    store.add(KEYS[3:], vectors([5, 6]))
    found, missing = VectorStore(str(tmp_path / "vectors")).read(KEYS[[3, 2, 0]])
    assert found.tolist() == [[5, 6], [0, 0], [1, 2]] and missing.tolist() == [1]


def test_vectors_of_another_width_are_set_aside(tmp_path, caplog):
    store = VectorStore(str(tmp_path))
    store.add(KEYS[:1], vectors([1, 2]))
    store.add(KEYS[1:2], vectors([1, 2, 3]))
    with caplog.at_level(logging.WARNING):
        _, missing = store.read(KEYS[:2])
    assert len(missing) == 1 and "set aside" in caplog.text
    assert len(list(tmp_path.glob("*.corrupt"))) == 1
