"""All rules about questions together: planted errors are found, no clean row is lost, later rows change nothing."""

import io
from collections import Counter

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageDraw

from filters.contamination import images as image_contamination
from filters.questions.curate import EvaluationSets, Prompts, curate
from records.images.normal_form import normal_form
from records.images.store import ImageFacts, ImageStore
from records.question import Question
from records.recipe.questions import QuestionRules
from records.tables import schema, to_frame

RULES = QuestionRules()
PLACES = ["Peru", "Chile", "Mali", "Ghana", "Nepal", "Oman", "Cuba", "Haiti", "Kenya", "Laos", "Malta", "Niger"]
NAMES = ["Anna", "Boris", "Chen", "Dalia", "Emil", "Farah", "Goran", "Hana", "Ivo", "Jana", "Karim", "Lena"]


def photo(seed, size=(320, 240)):
    """A picture with some things in it, different for every seed."""
    random = np.random.default_rng(seed)
    image = Image.fromarray(random.integers(0, 255, (6, 8, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y = random.integers(0, size[0] - 60), random.integers(0, size[1] - 60)
        colour = tuple(int(c) for c in random.integers(0, 255, 3))
        draw.ellipse([x, y, x + int(random.integers(20, 60)), y + int(random.integers(20, 60))], fill=colour)
    return image


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


class Table:
    """Questions with their images, as the sources' assets hand them on."""

    def __init__(self, folder):
        self.store, self.facts, self.rows, self.seen = ImageStore(str(folder)), [], [], []

    def image(self, data):
        normal = normal_form(data)
        self.store.put(normal.data)
        self.facts.append(normal.facts)
        return normal.facts.image

    def add(self, text, answer, task="math", kind="short_text", seen=1, source="src", **more):
        row = f"{len(self.rows)}"
        question = Question(
            source=source, source_row=row, task=task, text=text, answer=answer, answer_type=kind, **more
        )
        self.rows.append(question)
        self.seen.append(seen)
        return question.question_id

    def curate(self, rules=RULES, benchmarks=()):
        table = to_frame(self.rows, Question).with_columns(first_seen=pl.Series(self.seen, dtype=pl.Int64))
        known = to_frame(benchmarks, Question).with_columns(benchmark="source", row="source_row")

        def compare(images, benchmark):
            return image_contamination.hits(images, benchmark, self.store.get, rules.decontamination)

        return curate(
            table,
            to_frame(self.facts, ImageFacts),
            rules,
            Prompts(["What is 17 + 25?"]),
            EvaluationSets(known, compare),
        )


def of_benchmark(name, row, text, answer, images=()):
    return Question(
        source=name, source_row=row, task="perception" if images else "math", text=text, answer=answer,
        answer_type="short_text", images=list(images),
    )  # fmt: skip


@pytest.fixture
def table(tmp_path):
    return Table(tmp_path)


def clean(table):
    """Rows that nothing is wrong with, many of them alike in form."""
    ids = []
    for number, (name, place) in enumerate(zip(NAMES, PLACES, strict=True)):
        ids += [
            table.add(f"{name} has {number + 3} apples and eats two. How many remain?", f"{number + 1}", kind="number"),
            table.add(f"What is the capital of {place}?", f"City {name}", task="search"),
            table.add(
                "What colour is the largest circle in the image?", ["red", "blue", "green"][number % 3],
                task="perception", images=[table.image(encoded(photo(number)))],
            ),
            table.add(f"Is {number} + {number} an even number, {name}?", "yes", kind="boolean"),
        ]  # fmt: skip
    return ids


def planted(table):
    """Rows that something is wrong with: id -> reason."""
    wrong = {}

    def plant(reason, *args, **more):
        wrong[table.add(*args, **more)] = reason

    plant("empty_answer", "How many legs has a spider in this sum, Otto?", " ")
    plant("number_unreadable", "How far is it from Rome to Oslo by train?", "very far", kind="number")
    plant("boolean_unreadable", "Is the Nile longer than the Rhine in total?", "maybe", kind="boolean")
    plant("image_missing", "What is written on the bus?", "Linz", task="perception")
    plant("options_missing", "Which of the following is a prime number?", "B")
    plant("time_bound", "Who is the current president of France?", "Nobody", task="search")
    river = "The river Danube flows through Vienna. Which river flows through Vienna?"
    plant("answer_in_question", river, "Danube", task="search")
    plant("answer_too_long", "How do you make bread at home?", "flour " * 40)
    plant("duplicate", "what is  the capital of peru", "City Anna", task="search", source="twin")
    twin = "Please, Boris has 4 apples and eats two. How many remaain?"
    plant("near_duplicate", twin, "2", kind="number", source="twin")
    same = table.image(encoded(photo(2), "JPEG", quality=70))
    plant(
        "joint_duplicate", "what colour is largest circle in the image", "green",
        task="perception", images=[same], source="twin",
    )  # fmt: skip
    plant(
        "image_too_small", "What colour is the dot in the corner?", "red",
        task="perception", images=[table.image(encoded(photo(50).resize((20, 90))))],
    )  # fmt: skip
    plant(
        "image_too_elongated", "What colour is the line across?", "red",
        task="perception", images=[table.image(encoded(Image.new("RGB", (6000, 29), "red")))],
    )  # fmt: skip
    plant("shown_as_worked_example", "What is 17 + 25?", "42", kind="number")
    plant("in_benchmark", "A baker bakes seven loaves an hour for nine hours and sells fifty. How many are left?", "13")
    bench, circle = photo(90, (640, 480)), "What colour is the largest circle in the image?"
    crop = encoded(bench.crop((100, 60, 520, 400)), "JPEG", quality=80)
    plant("in_benchmark", "How many circles overlap here?", "2", task="perception", images=[table.image(crop)])
    benchmarks = [
        of_benchmark(
            "sums", "7", "a baker bakes seven loaves an hour, for nine hours, and sells fifty. How many are left?", "13"
        ),
        of_benchmark("scenes", "3", "Is there a dog?", "no", [table.image(encoded(bench))]),
        of_benchmark("scenes", "4", circle, "red", [table.image(encoded(photo(91)))]),
    ]
    return wrong, benchmarks


def test_each_planted_error_is_found_and_no_clean_row_is_lost(table):
    good = clean(table)
    wrong, benchmarks = planted(table)
    done = table.curate(benchmarks=benchmarks)
    found = dict(done.rejects.select("row_id", "reason").iter_rows())
    assert found == wrong
    assert sorted(done.kept["arrived_as"]) == sorted(good)
    assert Counter(wrong.values())["in_benchmark"] == 2 and len(wrong) == 16 and len(good) == 48
    hits = done.hits.select("benchmark", "row", "kind").unique().rows()
    assert {hit[:2] for hit in hits} == {("sums", "7"), ("scenes", "3")}


def test_rows_that_come_later_take_nobody_s_place(table):
    good = clean(table)
    _, benchmarks = planted(table)
    before = table.curate(benchmarks=benchmarks)
    # The same again from a source that sorts first, in other words, and a picture encoded anew.
    table.add("What is the capital of Peru, please?", "City Anna", task="search", seen=2, source="a")
    again = table.image(encoded(photo(3), "JPEG", quality=60))
    text = "What colour is the largest circle in the image?"
    table.add(text, "red", task="perception", images=[again], seen=2, source="a")
    new = table.add("What is the capital of Togo?", "City Nobody", task="search", seen=2, source="a")
    after = table.curate(benchmarks=benchmarks)
    assert sorted(after.kept["arrived_as"]) == sorted([*good, new])
    columns = ["arrived_as", "question_id", "pictures"]
    assert (
        after.kept.filter(pl.col("arrived_as") != new)
        .select(columns)
        .sort(columns[0])
        .equals(before.kept.select(columns).sort(columns[0]))
    )


def test_choices_that_are_not_needed_are_left_out_and_kept(table):
    choices = ["Lima", "Quito", "Bogota", "Sucre"]
    arrived = table.add("What is the capital of Peru?", "A", task="search", kind="choice", choices=choices)
    needed = table.add("Which of the following is a prime number?", "B", kind="choice", choices=["4", "7", "9", "15"])
    done = table.curate()
    opened = done.kept.filter(pl.col("arrived_as") == arrived).row(0, named=True)
    assert (opened["answer"], opened["choices"], opened["chance"]) == ("Lima", [], 0)
    assert opened["question_id"] != arrived and arrived in opened["original"]
    kept = done.kept.filter(pl.col("arrived_as") == needed).row(0, named=True)
    assert (kept["answer"], len(kept["choices"]), kept["original"]) == ("B", 4, None)
    assert kept["chance"] == pytest.approx(0.25) and kept["question_id"] == needed
    asked = table.curate(QuestionRules(wording={"open_choices": False})).kept
    assert sorted(asked["question_id"]) == sorted([arrived, needed])


def test_nothing_in_gives_nothing_out(table):
    done = table.curate()
    assert done.kept.is_empty() and done.rejects.is_empty()
    assert set(schema(Question)) < set(done.kept.columns)
