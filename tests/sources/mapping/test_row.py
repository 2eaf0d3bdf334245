"""Rows become drafts: columns and expressions, images in every form, and answers."""

import base64
import io
import json
import os
import time

import pytest
from PIL import Image

from records.question import Question, Reject
from records.recipe import Source
from sources.contract import Draft
from sources.mapping import image_cells as _pictures
from sources.mapping.row import to_document, to_draft
from sources.mapping.settings import MappingOptions


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
        "answer_type": "number", "answer_rule": "", "aliases": ["two"], "licence": "unknown", "extra": '{"level": 3}',
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
    for cell in (None, "", {}, {"bytes": None, "path": None}, {"bytes": None, "path": ""}, [None], float("nan"), []):
        assert draft({"image": cell}, columns=columns).pictures == []
        assert reason({"image": cell}, columns=columns, images="required") == "image_missing"
    for cell in (3, False, {"url": "x.png"}, [None, PNG], [PNG, ""], "none.png"):
        assert reason({"image": cell}, columns=columns) == "image_missing"
    assert reason({"image": "data:image/png;base64,???"}, columns=columns) == "image_unreadable"


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
    began = time.process_time()
    for cell in ("/9j/" + "A" * 200_000 + "!", "R0lGOD" + " " * 200_000 + "!", "UklGR" + "A " * 100_000 + "=" * 9):
        assert reason({"image": cell}, columns=columns) == "image_unreadable"
    assert time.process_time() - began < 1


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
