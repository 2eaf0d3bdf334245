"""Near duplicates are found, what differs in a number, a sign or a thing is none, and nothing is below its mark."""

# ruff: noqa: RUF001, SIM905 - cases, one a line; signs that look alike are meant

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.questions.synthetic import make
from filters.duplicates import near as near_duplicates
from filters.duplicates.keep_oldest import keep_first
from filters.duplicates.kernels import compiled
from filters.duplicates.near import normalised, number_key, pairs

QUESTION = "What is the color of the large bicycle that stands near the window beside the red umbrella?"


def one(expression, text):
    return pl.DataFrame({"text": [text]}).select(expression(pl.col("text"))).item()


def found(texts, threshold=0.8, groups=None):
    table = pairs(pl.Series(texts, dtype=pl.String), pl.Series(groups or [0] * len(texts), dtype=pl.Int64), threshold)
    assert table.schema == {"left": pl.UInt32, "right": pl.UInt32, "similarity": pl.Float32}
    return {(left, right): similarity for left, right, similarity in table.iter_rows()}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("What is the color of this image?", "what color image"),
        ("What's the colour of THIS photo??", "what color image"),
        ("<image>\nCould you please tell me: which is it?", "what"),
        ("Can penguins fly, please", "can penguins fly"),
        ("1,000.50 = 1000.5; 1,23 and 3.0", "1 23 3 1000.5 = 1000.5"),
        ("x-ray of a 5-year-old, 3/4 and/or -2", "x ray 5 year old 3 / 4 or - 2"),
        ("f(x) = x^{2} (see below)", "f ( x ) = x ^ 2 see below"),
        ("a × b − c ≤ 5!", "a * b - c < = 5 !"),
        ("side a is 3", "side 3"),
        ("a + b", "a + b"),
        ("日本の首都は？", "日 本 の 首 都"),
        ("Où est Zoë’s CAFÉ ?", "ou zoes cafe"),
        ("three apples", "3 apples"),
        ("How far is it, if it goes 3 km up and 2 km down?", "how far goes 3 km up 2 km down"),
        ("3 cats, 2 dogs, 1, 2, x, y", "3 cats 2 dogs 1 2 x y"),
        ("请回答下面的问题。中国的首都是哪里？", "中 国 首 都 是 哪 里"),
        ("เมืองหลวงของไทยครับ", "เ มื อ ง ห ล ว ง ข อ ง ไ ท ย"),
        (r"$\dfrac{x^{2}}{3} \leq \pi$", "x ^ 2 / 3 < = π"),
        ("please!", ""),
        (None, ""),
    ],
)
def test_the_words_that_make_a_question(text, words):
    assert one(normalised, text) == words


def test_numbers_signs_and_variables_are_the_key():
    for a, b in (
        ("1,000 km", "1000 km?"),
        ("three apples", "3 apples"),
        ("3.0", "3"),
        ("x - 2", "x − 2"),
        ("a dog", "no"),
    ):
        assert one(number_key, a) == one(number_key, b)
    texts = [
        "3 apples",
        "5 apples",
        "2 + 3",
        "2 - 3",
        "x^2",
        "x^3",
        "y^2",
        "3 5",
        "5 3",
        "3.5",
        "apples",
        "2 < 3",
        "50%",
    ]
    assert len({one(number_key, text) for text in texts}) == len(texts)


def test_near_duplicates_of_a_question():
    same = [
        QUESTION.upper(),
        QUESTION.rstrip("?"),
        "Could you please tell me: " + QUESTION,
        QUESTION.replace("the large", "a large"),
        QUESTION.replace("bicycle", "bicylce"),
        QUESTION.replace("bicycle", "biycle"),
        QUESTION.replace("bicycle", "bicyycle"),
        QUESTION.replace("color", "colour"),
    ]
    assert {(0, row) for row in range(1, len(same) + 1)} <= found([QUESTION, *same]).keys()


def test_what_is_another_question():
    others = [
        QUESTION.replace("red", "blue"),
        QUESTION.replace("bicycle", "boat").replace("umbrella", "bicycle"),
        QUESTION.replace("bicycle", "umbrella").replace("red umbrella", "red bicycle"),
        QUESTION.replace("large", "barge"),
        QUESTION.replace("that stands", "that never stands"),
        QUESTION.replace("the red", "3 red"),
        QUESTION.replace("the red", "4 red"),
    ]
    assert found([QUESTION, *others]) == {}


def test_a_long_text_may_lose_a_word_but_no_number_and_no_short_word():
    words = [f"{a}{b}{c}word" for a in "bdf" for b in "aeiou" for c in "klm"]
    text = " ".join(words)
    assert (0, 1) in found([text, " ".join(words[:20] + words[21:])])
    assert (0, 1) in found([text, text.replace(words[7], "something")])
    assert found([text, text.replace(words[7], "17")]) == {}
    assert found([text, " ".join([*words[:7], "not", *words[7:]])]) == {}


def test_groups_are_kept_apart_and_null_is_one():
    assert found([QUESTION] * 4, groups=[1, 2, 1, None]).keys() == {(0, 2)}
    assert found([QUESTION] * 2, groups=[None, None]).keys() == {(0, 1)}
    assert pairs(pl.Series(["a b"] * 2), pl.Series([2**64 - 1] * 2, dtype=pl.UInt64), 0.8).height == 1


def test_texts_without_words_are_like_nothing():
    assert found(["?", "?", "", None, "please"]) == {}
    assert found([]) == {}


def test_what_cannot_be_asked_is_refused():
    texts = pl.Series(["a"])
    with pytest.raises(ValueError, match="groups"):
        pairs(texts, pl.Series([1, 2]), 0.8)
    with pytest.raises(ValueError, match="integers"):
        pairs(texts, pl.Series(["1"]), 0.8)
    with pytest.raises(ValueError, match="threshold"):
        pairs(texts, pl.Series([1]), 0.0)


def test_many_equal_texts_stay_few_pairs_and_leave_one():
    texts = [QUESTION] * 500 + [QUESTION.replace("bicycle", "bicycel")] * 500
    result = pairs(pl.Series(texts), pl.Series([0] * 1000), 0.8)
    assert result.height <= 2 * near_duplicates.FIRST * 1000
    assert not result.select("left", "right").is_duplicated().any()
    assert (keep_first(result["left"].to_numpy(), result["right"].to_numpy(), 1000) < 0).sum() == 1


def shingles(text):
    padded = b" " + text.encode() + b" "
    return {padded[i : i + 3] for i in range(len(padded) - 2)}


@given(
    st.lists(st.lists(st.sampled_from("alpha alhpa bravo charlie 5 x дельта дельа".split()), max_size=9), max_size=12)
)
@settings(max_examples=40, deadline=None)
def test_the_similarity_is_exact_and_never_below_the_threshold(rows):
    texts = [" ".join(words) for words in rows]
    plain = pl.DataFrame({"text": texts}, schema={"text": pl.String}).select(normalised(pl.col("text"))).to_series()
    for (a, b), similarity in found(texts, 0.6).items():
        assert a < b and len(plain[a].split()) == len(plain[b].split())
        exact = len(shingles(plain[a]) & shingles(plain[b])) / len(shingles(plain[a]) | shingles(plain[b]))
        assert similarity == pytest.approx(exact) and exact >= 0.6
    assert {(a, b) for b in range(len(texts)) for a in range(b) if plain[a] == plain[b] != ""} <= found(
        texts, 0.6
    ).keys()


def test_rows_that_come_later_change_nothing_and_a_second_look_is_the_same():
    table = make(3_000, seed=3)
    groups = pl.repeat(0, table.height, eager=True)
    whole = pairs(table["text"], groups, 0.8)
    assert whole.equals(pairs(table["text"], groups, 0.8))
    part = pairs(table["text"].head(2_000), groups.head(2_000), 0.8)
    assert part.equals(whole.filter(pl.col("right") < 2_000))


def test_planted_near_duplicates_are_found_and_nothing_else():
    table = make(20_000, seed=1)
    result = pairs(table["text"], pl.repeat(0, table.height, eager=True), 0.8)
    planted = (
        table.with_row_index("right").filter(pl.col("plant") != "").with_columns(pl.col("original").cast(pl.UInt32))
    )
    hits = planted.join(result, left_on=["original", "right"], right_on=["left", "right"], how="semi")
    assert (hits["plant"] == "near").sum() >= 0.97 * (planted["plant"] == "near").sum()
    assert (hits["plant"] != "near").sum() == 0
    gone = keep_first(result["left"].to_numpy(), result["right"].to_numpy(), table.height) >= 0
    assert np.count_nonzero(gone & (table["plant"] != "near").to_numpy()) <= 5


def test_without_a_place_for_compiled_code_it_compiles_anew(tmp_path):
    package = tmp_path / "kernels"
    package.mkdir()
    shutil.copy(Path(compiled.__file__), package)
    (package / "__init__.py").touch()
    program = "from kernels.compiled import compiled\n@compiled\ndef double(x):\n    return 2 * x\nprint(double(4))\n"
    (package / "double.py").write_text(program)
    (package / "__pycache__").write_text("no folder")
    (tmp_path / "no folder").write_text("")
    place = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "no folder"), "HOME": str(tmp_path / "no folder")}
    place.pop("NUMBA_CACHE_DIR", None)
    run = subprocess.run(
        [sys.executable, "-m", "kernels.double"], cwd=tmp_path, env=place, capture_output=True, text=True
    )
    assert run.stdout == "8\n", run.stderr
