"""From rows to drafts: columns and expressions, images in every form, answers, and ready-made mappings."""

import base64
import io
import json
import os
import re
import time

import pyarrow as pa
import pytest
from PIL import Image

from records.question import Question, Reject
from records.recipe import Source
from records.recipe.section import RecipeError
from sources.contract import Draft
from sources.mapping import image_cells as _pictures
from sources.mapping.answer_type import infer
from sources.mapping.expressions import compiled
from sources.mapping.published import Published, published_names, read_published, with_published
from sources.mapping.row import to_document, to_draft
from sources.mapping.settings import MappingOptions, check_columns
from sources.open import check_source


def encoded(mode="RGB", form="PNG"):
    buffer = io.BytesIO()
    Image.new(mode, (30, 20)).save(buffer, form)
    return buffer.getvalue()


PNG = encoded()
SPEC = Source(name="src", loader="files")
ASKED = {"question": "1+1?", "answer": "2"}


def draft(row, read=None, **options):
    return to_draft(SPEC, MappingOptions(task="math", **options), 4, {**ASKED, **row}, read)


def fields(row, **options):
    made = draft(row, **options)
    assert isinstance(made, Draft), made
    Question(**made.fields)
    return made.fields


def reason(row, read=None, **options):
    made = draft(row, read, **options)
    assert isinstance(made, Reject), made
    return made.reason


def test_a_plain_row():
    made = draft({"level": 3, "key": "k", "also": "two"}, columns={"id": "key", "aliases": "also", "extra": ["level"]})
    assert made.pictures == [] and made.fields == {
        "source": "src", "source_row": "k", "task": "math", "text": "1+1?", "choices": [], "answer": "2",
        "answer_type": "number", "aliases": ["two"], "licence": "unknown", "extra": '{"level": 3}',
    }  # fmt: skip


def test_expressions_everywhere():
    row = {"chat": [{"role": "user", "content": "1+1? (A) 1 (B) 2"}], "gold": {"at": 1, "names": [["B"], "b"]}, "n": 7}
    columns = {
        "text": "without_choices(chat[?role=='user'].content | [0])",
        "choices": "inline_choices(chat[0].content)",
        "answer": "letter(gold.at)",
        "aliases": "gold.names",
        "id": "concat('row-', n)",
        "extra": ["gold.at"],
    }
    made = fields(row, columns=columns, keep="n > `5`")
    assert (made["text"], made["choices"], made["answer"], made["answer_type"]) == ("1+1?", ["1", "2"], "B", "choice")
    assert (made["source_row"], made["aliases"], json.loads(made["extra"])) == ("row-7", ["b"], {"gold.at": 1})


def test_rows_that_are_not_wanted():
    options = {"keep": "level == 'hard'"}
    assert fields({"level": "hard"}, **options)
    assert reason({"level": "easy"}, **options) == reason({}, **options) == "not_wanted"
    assert reason({"tags": []}, keep="tags") == reason({"tags": None}, keep="tags") == "not_wanted"


def test_what_fails_on_a_row_rejects_the_row_alone():
    for key in ("text", "answer", "choices", "aliases", "images", "id"):
        made = draft({"n": 3}, columns={key: "boxed(n)"})
        assert (made.reason, made.row_id) == ("expression_failed", "src:4") and "boxed(n)" in made.detail
    assert reason({"n": 3}, columns={"extra": ["boxed(n)"]}) == "expression_failed"
    assert reason({"n": 3}, keep="boxed(n)") == "expression_failed"
    assert reason({"answer": "x" * 60_000}, answer_pattern="(y)") == "expression_failed"
    assert reason({"question": ["a"]}) == reason({"answer": {"a": 1}}) == "not_a_text"


@pytest.mark.parametrize(
    ("answer", "expected", "aliases"),
    [
        (["2", "two"], "2", ["two"]),
        ([None, "", "2", "2"], "2", []),
        ([["2"], ["two", "zwei"]], "2", ["two", "zwei"]),
        (2.0, "2", []),
        (True, "yes", []),
    ],
)
def test_answers(answer, expected, aliases):
    made = fields({"answer": answer})
    assert (made["answer"], made["aliases"]) == (expected, aliases)


def test_answers_of_a_set_stay_together():
    made = fields({"answer": ["red", "blue", "red"]}, answer_type="set")
    assert (made["answer"], made["aliases"], made["answer_type"]) == ("red, blue", [], "set")


NOTATIONS = [
    (r"\frac{1}{2}", "expression", ["1/2", "0.5", r"\frac12"]),
    (r"2\sqrt{3}", "expression", ["2*sqrt(3)", r"\sqrt{12}", "2√3"]),
    ("sqrt(2)", "expression", [r"\sqrt{2}", "√2"]),
    ("x^2+1", "expression", ["1+x^2", "x**2+1"]),
    ("y=2x+1", "expression", ["y = 1+2x"]),
    ("12π", "expression", [r"12\pi"]),
    ("(3, 4)", "expression", [r"\left(3,4\right)"]),
    ("2^{10}", "expression", ["1024"]),
    ("3/4", "number", ["0.75", r"\frac{3}{4}", "75%"]),
    ("1 1/2", "number", ["1.5", "3/2"]),
    ("90°", "number", ["90", "90 degrees", r"90^\circ"]),
    (r"60^\circ", "number", ["60", "60°", "60 degrees"]),
    (r"60^{\circ}", "number", ["60", "60°"]),
    ("$5$", "number", ["5", "5.0"]),
    ("$4.20", "number", ["4.20", "4.2"]),
    ("1.5e3", "number", ["1500", r"1.5\times 10^3"]),
    ("5 cm", "number", ["5", "5cm", r"5\text{ cm}"]),
    (r"17 \text{ cm}", "number", ["17", "17 cm"]),
    (r"50\%", "number", ["50", "50%", "0.5"]),
    ("1.5 million", "number", ["1,500,000"]),
    ("−5", "number", ["-5"]),  # noqa: RUF001
    ("1,234.5", "number", ["1234.5"]),
    (r"\text{Evelyn}", "short_text", ["Evelyn", "evelyn"]),
    ("right-angled", "short_text", ["Right angled"]),
    ("5-10", "short_text", ["5–10"]),  # noqa: RUF001
    ("2020-05-01", "short_text", ["2020-05-01"]),
    ("Yes", "boolean", ["true"]),
]


@pytest.mark.parametrize(("answer", "kind", "same"), NOTATIONS)
def test_the_type_of_an_answer_lets_right_ones_in_other_notation_be_right(answer, kind, same):
    from verdicts.rules import judge

    question = Question(**fields({"answer": answer}))
    assert question.answer_type == kind
    assert [given for given in [answer, *same] if not judge(given, question).correct] == []
    assert not judge("7777", question).correct


def test_expressions_are_of_mathematics_alone():
    assert [infer(a, "search") for a in ("x^2+1", "2 May", "1990s", ".", "-", "%", "")] == ["short_text"] * 7
    assert [infer(a) for a in ("3 km", "-3", "True")] == ["number", "number", "boolean"]


def test_no_answer():
    assert [reason({"answer": a}) for a in (None, "", " ", [], [None], float("nan"))] == ["empty_answer"] * 6
    assert reason({"answer": "four"}, answer_pattern="#### (.+)") == "answer_pattern_unmatched"
    assert fields({"answer": ["x #### 4", "four"]}, answer_pattern="#### (.+)")["aliases"] == ["four"]
    hidden = fields({}, columns={"answer": None})
    assert (hidden["answer"], hidden["answer_type"], hidden["text"]) == ("", "short_text", "1+1?")


def test_aliases_in_every_form():
    columns = {"aliases": "also"}
    for also in ([["two"], ["zwei", None]], ["two", "zwei", "2", "two"], [[["two"]], "zwei"]):
        assert fields({"also": also}, columns=columns)["aliases"] == ["two", "zwei"]
    assert fields({"also": None}, columns=columns)["aliases"] == []
    assert fields({"also": '["two"]'}, columns={"aliases": "parse_json(also)"})["aliases"] == ["two"]
    assert reason({"also": {"x": 1}}, columns=columns) == "not_a_text"


def test_choices_may_be_letters_to_texts():
    made = fields({"answer": "B", "c": {"A": "x", "B": "y", "C": None}}, columns={"choices": "c"})
    assert (made["choices"], made["answer"]) == (["x", "y"], "B")
    columns = {"choices": "{A: a, B: b, C: c}"}
    assert fields({"answer": "y", "a": "x", "b": "y", "c": None}, columns=columns)["answer"] == "B"
    assert reason({"c": "x, y"}, columns={"choices": "c"}) == "choices_unreadable"


@pytest.mark.parametrize(
    "cell",
    [
        PNG,
        bytearray(PNG),
        {"bytes": PNG, "path": None},
        {"bytes": PNG, "path": "https://a.example/x.png"},
        "data:image/png;base64," + base64.b64encode(PNG).decode(),
        base64.b64encode(PNG).decode(),
        base64.encodebytes(PNG).decode(),
        base64.b64encode(encoded(form="JPEG")).decode(),
        base64.b64encode(encoded(form="WEBP")).decode(),
        base64.b64encode(encoded(form="GIF")).decode(),
    ],
)
def test_images_that_are_in_the_row(cell):
    (data,) = draft({"image": cell}, columns={"images": "image"}).pictures
    assert Image.open(io.BytesIO(data)).size == (30, 20)
    assert draft({"image": [cell, cell]}, columns={"images": "image"}).pictures == [data, data]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "F"])
def test_images_that_are_decoded_already(mode):
    (data,) = draft({"image": Image.new(mode, (30, 20))}, columns={"images": "image"}).pictures
    assert data.startswith(b"\x89PNG") and Image.open(io.BytesIO(data)).size == (30, 20)


def test_a_decoded_image_that_is_broken():
    buffer = io.BytesIO()
    Image.effect_noise((200, 200), 50).save(buffer, "JPEG")
    broken = Image.open(io.BytesIO(buffer.getvalue()[:5000]))
    assert reason({"image": broken}, columns={"images": "image"}) == "image_unreadable"


def test_images_that_are_no_images():
    columns = {"images": "image"}
    for cell in (None, "", {}, {"bytes": None, "path": None}, {"bytes": None, "path": ""}, 3, [None], False):
        assert reason({"image": cell}, columns=columns) == "image_missing"
    assert reason({"image": "data:image/png;base64,???"}, columns=columns) == "image_unreadable"
    assert draft({"image": []}, columns=columns).pictures == []


def test_urls_are_not_fetched():
    for cell in ("https://a.example/x.png", "http://a.example/x", {"bytes": None, "path": "https://a.example/x.png"}):
        for folder in (None, "."):
            made = draft({"image": cell}, columns={"images": "image"}, image_folder=folder)
            assert (
                made.reason == "image_is_url" and "downloads nothing" in made.detail and "image_folder" in made.detail
            )


def test_paths_stay_below_the_folder(tmp_path):
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a b.png").write_bytes(PNG)
    (tmp_path / "secret.png").write_bytes(PNG)
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "inner.png").symlink_to(folder / "sub" / "a b.png")
    (tmp_path / "elsewhere" / "train").mkdir(parents=True)
    (tmp_path / "elsewhere" / "train" / "x.png").write_bytes(PNG)
    (tmp_path / "elsewhere" / "y.png").write_bytes(PNG)
    (folder / "train").symlink_to(tmp_path / "elsewhere" / "train")
    os.mkfifo(folder / "pipe.png")
    options = {"columns": {"images": "image"}, "image_folder": str(folder)}
    for inside in ("sub/a b.png", "./sub/a b.png", "sub/../sub/a b.png", str(folder / "sub" / "a b.png"), "inner.png"):
        assert draft({"image": inside}, **options).pictures == [PNG]
        assert draft({"image": {"bytes": None, "path": inside}}, **options).pictures == [PNG]
    for link in ("train/x.png", "link.png"):  # whoever placed the links wants them followed
        assert draft({"image": link}, **options).pictures == [PNG]
    for outside in ("../secret.png", str(tmp_path / "secret.png"), "sub/../../secret.png", "/etc/passwd", "..", "/"):
        assert reason({"image": outside}, **options) == "image_outside_folder"
    for missing in (
        "none.png",
        "train/../y.png",
        "sub",
        "pipe.png",
        "a\0b",
        "x" * 5000,
        "file://" + str(tmp_path / "secret.png"),
    ):
        assert reason({"image": missing}, **options) == "image_missing"
    assert reason({"image": "sub/a b.png"}, columns={"images": "image"}) == "image_missing"


def test_a_folder_may_be_relative(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name / "images").mkdir(parents=True)
        (tmp_path / name / "images" / "x.png").write_bytes(PNG + name.encode())
        monkeypatch.chdir(tmp_path / name)
        (data,) = draft({"image": "x.png"}, columns={"images": "image"}, image_folder="images").pictures
        assert data.endswith(name.encode())


def test_what_opens_the_paths_of_a_dataset_itself(tmp_path):
    def read(path):
        if path != "hf://x.png":
            raise FileNotFoundError(path)
        return PNG

    columns = {"images": "image"}
    assert draft({"image": {"bytes": None, "path": "hf://x.png"}}, read, columns=columns).pictures == [PNG]
    assert reason({"image": {"bytes": None, "path": "hf://y.png"}}, read, columns=columns) == "image_missing"
    assert reason({"image": "hf://x.png"}, read, columns=columns) == "image_missing"  # a text is not the loader's path
    (tmp_path / "y.png").write_bytes(PNG)
    made = draft({"image": {"bytes": None, "path": "y.png"}}, read, columns=columns, image_folder=str(tmp_path))
    assert made.pictures == [PNG]


def test_images_that_are_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(_pictures, "MAX_BYTES", 100)
    (tmp_path / "x.png").write_bytes(b"\0" * 101)
    options = {"columns": {"images": "image"}, "image_folder": str(tmp_path)}
    uri = "data:image/png;base64," + base64.b64encode(b"\0" * 102).decode()
    for cell in (b"\0" * 101, {"bytes": b"\0" * 101}, "x.png", {"bytes": None, "path": "x.png"}, uri):
        assert reason({"image": cell}, **options) == "image_too_large"
    assert draft({"image": b"\0" * 100}, **options).pictures == [b"\0" * 100]


def test_an_evaluation_row_keeps_the_images_that_can_be_read():
    options = MappingOptions(task="math", columns={"images": "image"})
    made = to_draft(SPEC.model_copy(update={"evaluation": True}), options, 4, {**ASKED, "image": [PNG, None, PNG]})
    assert made.pictures == [PNG, PNG] and json.loads(made.fields["extra"]) == {"not_read": "image_missing"}
    assert reason({"image": [PNG, None]}, columns={"images": "image"}) == "image_missing"


def test_long_texts_that_begin_like_an_image_take_little_time():
    columns = {"images": "image"}
    began = time.perf_counter()
    for cell in ("/9j/" + "A" * 200_000 + "!", "R0lGOD" + " " * 200_000 + "!", "UklGR" + "A " * 100_000 + "=" * 9):
        assert reason({"image": cell}, columns=columns) == "image_unreadable"
    assert time.perf_counter() - began < 1


def test_values_inside_each_other_without_end():
    value = "x"
    for _ in range(2000):
        value = [value]
    assert reason({"answer": value}) == reason({"more": value}, columns={"extra": ["more"]}) == "too_deep"


def test_documents():
    options = MappingOptions(columns={"text": "doc.body", "title": "concat(doc.name, '!')", "id": "key"})
    made = to_document(options, "src", 3, {"doc": {"body": "Lima.", "name": "Peru"}, "key": None})
    assert (made.document_id, made.title, made.text) == ("3", "Peru!", "Lima.")
    assert to_document(options, "src", 3, {"doc": {"body": " "}}) is None
    assert to_document(options, "src", 3, {"doc": {"body": ["x"]}}) is None


SCHEMA = pa.schema(
    [
        ("question", pa.string()),
        ("gold", pa.struct([("truth", pa.string()), ("style", pa.string())])),
        (
            "turns",
            pa.list_(pa.struct([("role", pa.string()), ("content", pa.list_(pa.struct([("text", pa.string())])))])),
        ),
        ("raw", pa.string()),
        ("a.b", pa.string()),
    ]
)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"answer": "truth"},
            r"'src'.*no column 'truth' \(columns.answer\); columns there: question, gold, turns, raw",
        ),
        (
            {"answer": "boxed(truth)"},
            r"no column 'truth' used in 'boxed\(truth\)' \(columns.answer\); columns there: q",
        ),
        (
            {"answer": "gold.gone"},
            r"no field 'gold.gone' used in 'gold.gone' \(columns.answer\); fields there: truth, s",
        ),
        ({"answer": "raw", "extra": ["gold.truth", "x"]}, r"no column 'x' \(columns.extra.1\)"),
        ({"answer": "turns[?who=='user'].content"}, r"no field 'turns.who'.*fields there: role, content"),
        ({"answer": "turns[-1].content[0].body"}, r"no field 'turns.content.body'.*fields there: text"),
        ({"answer": "raw || other"}, r"no column 'other' used in 'raw \|\| other'"),
    ],
)
def test_a_column_or_field_that_is_gone_is_named(columns, message):
    with pytest.raises(RecipeError, match=message):
        check_columns(MappingOptions(columns=columns), SCHEMA, "questions", "src")


def test_columns_and_fields_that_are_there():
    for answer in ("gold.truth", "turns[?role=='user'].content[].text", "parse_json(raw).x", "raw.x", "a.b", "'yes'"):
        check_columns(MappingOptions(columns={"answer": answer}), SCHEMA, "questions", "src")
    options = MappingOptions(columns={"text": "question", "answer": "gold.truth", "id": "raw"}, keep="level == 'x'")
    with pytest.raises(RecipeError, match=r"no column 'level' used in .* \(keep\)"):
        check_columns(options, SCHEMA, "questions", "src")
    check_columns(options, SCHEMA, "documents", "src")
    check_columns(options, ["question", "gold", "raw", "level"], "questions", "src")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": {"text": "boxed(a"}}, r"r.yaml: sources.2.options.columns.text: neither a column name nor"),
        ({"columns": {"extra": ["a", "nope(a)"]}}, r"options.columns.extra.1: there is no function nope\(\); known: "),
        ({"keep": "regex(a, '(')"}, r"options.keep: regex\(\): not a regular expression"),
        ({"published": "gsm9k"}, r"sources.2.options: there is no published mapping 'gsm9k'; known: .*arxivqa, "),
    ],
)
def test_a_wrong_expression_is_refused_with_its_key(options, message):
    spec = Source(name="src", loader="files", options={"path": "x", "task": "math", **options})
    with pytest.raises(RecipeError, match=message):
        check_source(spec, "r.yaml", 2)


PUBLISHED = {
    "path": "lab/data", "name": "main", "split": "validation", "revision": "abc", "task": "math", "licence": "mit",
    "keep": "level == 'hard'", "columns": {"text": "problem", "answer": "gold.truth", "id": "key"},
}  # fmt: skip
HUB = {"published", "path", "name", "split", "revision", "data_files", "task", "licence", "keep", "columns"}


@pytest.fixture
def lab(tmp_path, monkeypatch):
    mapping = {"about": "a", "use": "training", "columns_known_from": "us", "options": PUBLISHED}
    (tmp_path / "lab.yaml").write_text(json.dumps(mapping))
    (tmp_path / "wrong.yaml").write_text(json.dumps({"about": "a", "options": {}}))
    monkeypatch.setattr("sources.mapping.published.FOLDER", tmp_path)
    read_published.cache_clear()
    yield
    read_published.cache_clear()


def test_a_published_mapping_alone(lab):
    assert published_names() == ["lab", "wrong"]
    assert with_published({"published": "lab"}, HUB) == {"published": "lab", **PUBLISHED}
    assert isinstance(read_published("lab"), Published)


def test_own_settings_win_columns_key_by_key(lab):
    own = {"published": "lab", "split": "train", "keep": None, "columns": {"answer": "final", "id": None}}
    merged = with_published(own, HUB)
    assert merged["columns"] == {"text": "problem", "answer": "final", "id": None}
    assert (merged["split"], merged["keep"], merged["path"], merged["revision"]) == ("train", None, "lab/data", "abc")
    assert own["columns"] == {"answer": "final", "id": None} and PUBLISHED["columns"]["id"] == "key"


def test_local_files_leave_out_what_is_said_of_the_place(lab):
    merged = with_published({"published": "lab", "path": "parquet", "data_files": "my.parquet"}, HUB)
    assert {k: merged.get(k) for k in ("path", "data_files", "name", "split", "revision")} == {
        "path": "parquet", "data_files": "my.parquet", "name": None, "split": None, "revision": None,
    }  # fmt: skip
    mirror = with_published({"published": "lab", "path": "mirror/data"}, HUB)
    assert (mirror["path"], mirror["name"], mirror["split"], mirror.get("revision")) == (
        "mirror/data", "main", "validation", None,
    )  # fmt: skip
    same = with_published({"published": "lab", "path": "lab/data", "split": "test"}, HUB)
    assert (same["revision"], same["split"]) == ("abc", "test")
    some = with_published({"published": "lab", "path": "lab/data", "data_files": "part.parquet"}, HUB)
    assert (some["revision"], some.get("name"), some.get("split")) == ("abc", None, None)
    local = with_published({"published": "lab", "path": "my.jsonl"}, HUB - {"data_files", "name", "split", "revision"})
    assert set(local) == {"published", "path", "task", "licence", "keep", "columns"} and local["path"] == "my.jsonl"


@pytest.mark.parametrize("name", [n for n in published_names() if read_published(n).options["path"] == "json"])
def test_files_that_are_on_no_hub_need_only_be_named(name):
    spec = Source(name="s", loader="huggingface", options={"published": name, "data_files": "x.json"})
    options = check_source(spec, "r.yaml", 0)
    assert (options.path, options.data_files) == ("json", "x.json")


@pytest.mark.parametrize(
    "name", ["revisual_r1", "deepeyesv2_rl_search", "deepeyesv2_rl_reason", "deepeyesv2_rl_perception", "fvqa"]
)
def test_rows_without_images_are_taken(name):
    value = compiled(MappingOptions(published=name).columns.images).value
    assert value({"images": None}) == value({"images": []}) == [] and value({"images": [PNG]}) == [PNG]


def test_a_wrong_mapping_names_its_file(lab):
    with pytest.raises(RecipeError, match=r"wrong.yaml: use: this key is needed"):
        read_published("wrong")
    with pytest.raises(RecipeError, match=r"no published mapping 'none'; known: lab, wrong"):
        with_published({"published": "none"}, HUB)


@pytest.mark.parametrize("name", published_names())
def test_every_shipped_mapping_is_sound(name):
    mapping = read_published(name)
    assert mapping.about.strip() and mapping.columns_known_from
    for loader, own in (("huggingface", {}), ("files", {"path": "x.jsonl"})):
        options = check_source(Source(name="s", loader=loader, options={"published": name, **own}), "r.yaml", 0)
        assert options.task == mapping.options["task"] and options.columns.text == mapping.options["columns"]["text"]
    assert options.path == "x.jsonl"
    revision = mapping.options.get("revision")
    assert revision is None or re.fullmatch("[0-9a-f]{40}", revision)
