"""Hugging Face datasets and local files, on small real files."""

import base64
import io
import json

import pytest
from PIL import Image

from records.images import ImageStore
from records.question import Question, Reject
from records.recipe import Corpus, Source
from records.settings import RecipeError
from sources import corpus_documents, load_source
from sources._mapping import choice_letter, infer


def png(colour):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3), colour).save(buffer, "PNG")
    return buffer.getvalue()


RED, BLUE = png("red"), png("blue")


def run(tmp_path, loader, limit=None, seed=0, **options):
    spec = Source(name="src", loader=loader, limit=limit, options={"task": "math", **options})
    return list(load_source(spec, seed, ImageStore(str(tmp_path / "store"))))


def jsonl(tmp_path, rows, name="rows.jsonl"):
    path = tmp_path / name
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return str(path)


def both(tmp_path, rows, limit=None, seed=0, **options):
    """The same file through both loaders."""
    path = jsonl(tmp_path, rows)
    return (
        run(tmp_path, "files", limit, seed, path=path, **options),
        run(tmp_path, "huggingface", limit, seed, path="json", data_files=path, **options),
    )


def test_both_loaders_map_alike(tmp_path):
    rows = [
        {"q": "1+1?", "a": "2", "key": "k1", "also": ["two"], "level": 3},
        {"q": "Is 2 even?", "a": "yes", "key": "k2", "also": [], "level": 1},
        {"q": "Capital?", "a": "Lima", "key": "k3", "also": ["City of Kings"], "level": 2},
        {"q": "", "a": "x", "key": "k4", "also": [], "level": 2},
        {"q": "And?", "a": None, "key": "k5", "also": [], "level": 2},
    ]
    columns = {"text": "q", "answer": "a", "id": "key", "aliases": "also", "extra": ["level"]}
    for result in both(tmp_path, rows, columns=columns, licence="CC0"):
        assert [(r.answer, r.answer_type, r.source_row, r.aliases) for r in result[:3]] == [
            ("2", "number", "k1", ["two"]),
            ("yes", "boolean", "k2", []), ("Lima", "short_text", "k3", ["City of Kings"]),
        ]  # fmt: skip
        assert {r.licence for r in result[:3]} == {"CC0"} and json.loads(result[0].extra) == {"level": 3}
        assert [(r.row_id, r.reason, r.stage) for r in result[3:]] == [
            ("src:k4", "empty_text", "source"), ("src:k5", "empty_answer", "source"),
        ]  # fmt: skip


@pytest.mark.parametrize("loader", ["files", "huggingface"])
def test_a_missing_column_is_named_with_those_there(tmp_path, loader):
    path = jsonl(tmp_path, [{"q": "1?", "a": "1"}])
    how = {"path": path} if loader == "files" else {"path": "json", "data_files": path}
    with pytest.raises(RecipeError, match=r"'src'.*no column 'question' \(columns.text\); columns there: q, a"):
        run(tmp_path, loader, columns={"answer": "a"}, **how)


def test_an_answer_inside_a_longer_text(tmp_path):
    rows = [{"question": "q1", "answer": "1+1=2\n#### 1,002"}, {"question": "q2", "answer": "no mark"}]
    for result in both(tmp_path, rows, answer_pattern=r"#### (.+)"):
        assert (result[0].answer, result[0].answer_type) == ("1,002", "number")
        assert result[1].reason == "answer_pattern_unmatched"


def test_choices_become_letters(tmp_path):
    rows = [
        {"question": "q1", "answer": 1, "choices": ["x", "y"]},
        {"question": "q2", "answer": 5, "choices": ["x", "y"]},
    ]
    for result in both(tmp_path, rows, columns={"choices": "choices"}):
        assert (result[0].answer, result[0].answer_type, result[0].choices) == ("B", "choice", ["x", "y"])
        assert result[1].reason == "answer_not_a_choice"
    arc = [{"question": "q", "answer": "3", "choices": {"text": ["x", "y", "z"], "label": ["1", "2", "3"]}}]
    for result in both(tmp_path, arc, columns={"choices": "choices"}):
        assert (result[0].answer, result[0].choices) == ("C", ["x", "y", "z"])


def test_letters_numbers_and_texts_of_choices():
    choices = ["red", "blue"]
    assert [choice_letter(a, choices, [], 0) for a in ("B", "(b)", "blue", 1, "1")] == ["B"] * 5
    assert choice_letter(1, choices, [], 1) == "A"
    assert [infer(a) for a in ("1,234.5", "-3", "True", "3 km", ".", "-", "%")] == [
        "number", "number", "boolean", "short_text", "short_text", "short_text", "short_text",
    ]  # fmt: skip


def test_images_of_a_hugging_face_dataset_are_stored_as_they_came(tmp_path):
    from datasets import Dataset, Features, List, Value
    from datasets import Image as ImageFeature

    features = Features({"question": Value("string"), "answer": Value("string"), "pics": List(ImageFeature())})
    cells = [
        [{"bytes": RED, "path": None}, {"bytes": BLUE, "path": None}],
        [],
        [{"bytes": b"broken", "path": None}],
        None,
    ]
    rows = {"question": list("abcd"), "answer": list("1234"), "pics": cells}
    path = str(tmp_path / "rows.parquet")
    Dataset.from_dict(rows, features=features).to_parquet(path)
    store = ImageStore(str(tmp_path / "store"))
    for streaming in (False, True):
        result = run(
            tmp_path, "huggingface", path="parquet", data_files=path, columns={"images": "pics"}, streaming=streaming
        )
        assert [store.get(i) for i in result[0].images] == [RED, BLUE]
        assert result[1].images == []
        assert [r.reason for r in result[2:]] == ["not_an_image", "image_missing"]
    # The same file without `datasets`.
    direct = run(tmp_path, "files", path=path, columns={"images": "pics"})
    assert [getattr(r, "images", None) for r in direct] == [getattr(r, "images", None) for r in result]


def test_single_images_in_an_image_folder(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "r.png").write_bytes(RED)
    (folder / "metadata.jsonl").write_text('{"file_name": "r.png", "question": "Colour?", "answer": "red"}')
    options = {"columns": {"images": "image"}, "task": "perception", "answer_type": "short_text"}
    (result,) = run(tmp_path, "huggingface", path="imagefolder", data_dir=str(folder), **options)
    assert ImageStore(str(tmp_path / "store")).get(result.images[0]) == RED


def test_image_paths_stay_in_the_folder(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "r.png").write_bytes(RED)
    (tmp_path / "secret.png").write_bytes(BLUE)
    uri = "data:image/png;base64," + base64.b64encode(BLUE).decode()
    names = ["r.png", "../secret.png", str(tmp_path / "secret.png"), "none.png", uri, "data:image/png;base64,???"]
    path = jsonl(tmp_path, [{"question": f"q{i}", "answer": "1", "image": n} for i, n in enumerate(names)])
    result = run(tmp_path, "files", path=path, image_folder=str(folder), columns={"images": "image"})
    assert [r.reason if isinstance(r, Reject) else "kept" for r in result] == [
        "kept", "image_outside_folder", "image_outside_folder", "image_missing", "kept", "image_unreadable",
    ]  # fmt: skip
    without = run(tmp_path, "files", path=path, columns={"images": "image"})
    assert {r.reason for r in without if isinstance(r, Reject)} == {"image_missing", "image_unreadable"}


def test_broken_lines_and_cells_are_rejects(tmp_path):
    rows = [
        {"question": "a", "answer": "1"},
        "{broken",
        "[1]",
        {"question": "b", "answer": {"x": 1}},
        {"question": "c"},
    ]
    result = run(tmp_path, "files", path=jsonl(tmp_path, rows))
    assert [r.reason if isinstance(r, Reject) else "kept" for r in result] == [
        "kept", "json_unreadable", "json_unreadable", "not_a_text", "empty_answer",
    ]  # fmt: skip
    assert [r.row_id for r in result[1:3]] == ["src:rows.jsonl:1", "src:rows.jsonl:2"]


def test_limits_draw_with_the_seed_across_files(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path / "many"
    folder.mkdir()
    for part in range(3):
        table = pa.table({"question": [f"q{part}-{i}" for i in range(700)], "answer": ["1"] * 700})
        pq.write_table(table, folder / f"{part}.parquet", row_group_size=100)
    first = run(tmp_path, "files", 40, path=str(folder))
    assert len(first) == 40 == len({r.text for r in first})
    assert {r.source_row.split(".")[0] for r in first} == {"0", "1", "2"}
    assert run(tmp_path, "files", 40, path=str(folder)) == first
    assert run(tmp_path, "files", 40, 1, path=str(folder)) != first
    files = [str(p) for p in sorted(folder.iterdir())]
    for streaming in (False, True):
        drawn = run(tmp_path, "huggingface", 40, path="parquet", data_files=files, streaming=streaming)
        assert len(drawn) == 40 and all(isinstance(r, Question) for r in drawn)
        assert len({r.text[:2] for r in drawn}) > 1 or streaming
        if not streaming:
            assert [r.text for r in drawn] == [f"q{int(r.source_row) // 700}-{int(r.source_row) % 700}" for r in drawn]
        assert len({r.text for r in drawn}) == 40 == len({r.source_row for r in drawn})
        again = run(tmp_path, "huggingface", 40, path="parquet", data_files=files, streaming=streaming)
        other = run(tmp_path, "huggingface", 40, 1, path="parquet", data_files=files, streaming=streaming)
        assert again == drawn != other


def test_what_cannot_be_opened_is_a_clear_error(tmp_path):
    with pytest.raises(RecipeError, match="matches no file"):
        run(tmp_path, "files", path=str(tmp_path / "none*.jsonl"))
    (tmp_path / "x.parquet").write_bytes(b"no parquet")
    with pytest.raises(RecipeError, match="no readable parquet"):
        run(tmp_path, "files", path=str(tmp_path / "x.parquet"))
    with pytest.raises(RecipeError, match=r"'src': json: "):
        run(tmp_path, "huggingface", path="json", data_files=str(tmp_path / "none.jsonl"))


def test_a_corpus_from_a_table(tmp_path):
    path = jsonl(tmp_path, [{"id": "d1", "t": "Peru", "body": "Lima."}, {"id": "d2", "t": "Chile", "body": ""}])
    columns = {"text": "body", "title": "t", "id": "id"}
    for spec in (
        Corpus(loader="files", options={"path": path, "columns": columns}),
        Corpus(loader="huggingface", options={"path": "json", "data_files": path, "columns": columns}),
    ):
        (document,) = corpus_documents([spec])
        assert (document.document_id, document.title, document.text) == ("d1", "Peru", "Lima.")
