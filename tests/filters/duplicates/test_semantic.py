import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.duplicates import semantic as semantic_duplicates
from filters.duplicates.semantic import comparable, nearest, pairs


def brute(vectors, blocks, similarity):
    """Every pair, as {(left, right)}."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    keys = np.array([np.nan if b is None else b for b in blocks], dtype=float)
    right, left = np.nonzero(np.tril(unit @ unit.T >= similarity, -1) & (keys[:, None] == keys))
    return set(zip(left.tolist(), right.tolist(), strict=True))


def found(table):
    return set(table.select("left", "right").rows())


def clustered(n, d, seed, spread=0.2):
    """Half of the rows are near another one, as paraphrases are; the directions are not alike (as those of models)."""
    random = np.random.default_rng(seed)
    base = random.normal(size=(n, d)) * (1 + np.arange(d)) ** -0.5
    base[n // 2 :] = base[: n - n // 2] + spread * random.normal(size=(n - n // 2, d)) * (1 + np.arange(d)) ** -0.5
    return base[random.permutation(n)].astype(np.float32)


def test_pairs_are_the_near_rows_of_one_block_and_no_others():
    vectors = np.array([[1, 0], [0, 1], [2, 0.1], [3, 0], [1, 0.05]], np.float32)
    table = pairs(vectors, pl.Series([7, 7, 7, 8, None]), 0.95)
    assert table.schema == {"left": pl.UInt32, "right": pl.UInt32, "similarity": pl.Float32}
    assert table.select("left", "right").rows() == [(0, 2)]
    assert table["similarity"][0] == pytest.approx(2 / np.sqrt(4.01), abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(0, 60), blocks=st.integers(1, 20), similarity=st.floats(0.2, 0.99), seed=st.integers(0, 999),
    half=st.booleans(),
)  # fmt: skip
def test_small_blocks_lose_nothing(n, blocks, similarity, seed, half):
    random = np.random.default_rng(seed)
    vectors = clustered(n, 8, seed).astype(np.float16 if half else np.float32)
    keys = pl.Series([None if key == 0 else int(key) for key in random.integers(0, blocks, n)], dtype=pl.Int64)
    exact = vectors.astype(np.float64)
    near, far = (brute(exact, keys, similarity + sign * 1e-5) for sign in (1, -1))
    assert near <= found(pairs(vectors, keys, similarity)) <= far


@pytest.mark.parametrize("similarity", [0.85, 0.95])
def test_large_blocks_find_95_percent_and_nothing_wrong(similarity):
    vectors = clustered(4000, 48, 3)
    block = pl.Series(np.zeros(4000, np.int64))
    table, all_pairs = pairs(vectors, block, similarity, whole=500), brute(vectors, block, similarity)
    assert len(all_pairs) > 400
    assert len(found(table) & all_pairs) >= 0.95 * len(all_pairs)
    assert not found(table) - brute(vectors, block, similarity - 1e-5)
    assert table.equals(pairs(vectors, block, similarity, whole=500))
    assert table.equals(table.sort("right", "left"))


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 60), seed=st.integers(0, 99))
def test_the_division_into_cells_is_sound_at_any_size(n, seed):
    vectors, block = clustered(n, 6, seed), pl.Series(np.zeros(n, np.int64))
    assert found(pairs(vectors, block, 0.9, whole=1)) <= brute(vectors, block, 0.9 - 1e-5)


def test_a_crowd_gives_few_pairs_a_row_and_every_row_one():
    random = np.random.default_rng(0)
    vectors = (np.ones(16) + 0.05 * random.normal(size=(1500, 16))).astype(np.float32)
    table = pairs(vectors, pl.Series(np.zeros(1500, np.int64)), 0.9, whole=500)
    assert set(table["right"].to_list()) == set(range(1, 1500))
    assert table.group_by("right").len()["len"].max() <= 2 * semantic_duplicates.MOST
    # The earliest are among them: whoever keeps the earliest of a group finds it in one step.
    assert set(table.filter(pl.col("left") == 0)["right"].to_list()) == set(range(1, 1500))


def test_only_rows_that_share_a_block_need_a_vector():
    assert comparable(pl.Series([1, 2, 1, None, None, 3])).to_list() == [True, False, True, False, False, False]


def test_as_many_vectors_as_blocks():
    with pytest.raises(ValueError, match="2 vectors for 3 rows"):
        pairs(np.ones((2, 4)), pl.Series([1, 1, 1]), 0.9)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(0, 25), m=st.integers(1, 25), seed=st.integers(0, 999))
def test_nearest_is_the_best_row_that_shares_a_key(n, m, seed):
    random = np.random.default_rng(seed)
    ours, theirs = random.normal(size=(n, 4)), random.normal(size=(m, 4))
    tables = [
        pl.DataFrame(
            {"row": random.integers(0, k, 2 * k), "key": random.integers(0, 4, 2 * k)},
            schema={"row": pl.UInt32, "key": pl.Int64},
        )
        for k in (n, m)
        if k
    ]
    if n == 0:
        tables.insert(0, pl.DataFrame(schema={"row": pl.UInt32, "key": pl.Int64}))
    table = nearest(*tables, ours, theirs, 0.3)
    cosines = (ours / np.linalg.norm(ours, axis=1, keepdims=True)) @ (
        theirs / np.linalg.norm(theirs, axis=1, keepdims=True)
    ).T
    expected = {}
    for one, other in tables[0].join(tables[1], on="key").select("row", "row_right").rows():
        if cosines[one, other] >= 0.3:
            expected[one] = max(expected.get(one, -1), cosines[one, other])
    assert dict(zip(table["ours"], table["similarity"], strict=True)) == pytest.approx(expected, abs=1e-5)
    assert all(cosines[one, other] == pytest.approx(value, abs=1e-5) for one, other, value in table.rows())
