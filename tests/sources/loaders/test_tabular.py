"""Hugging Face datasets and local files, on small real files."""

import base64
import io
import json
import os
import zipfile

import pytest
from PIL import Image

from records.images.store import ImageStore
from records.question import Question, Reject
from records.recipe import Corpus, EvaluationSource, Source
from records.recipe.section import RecipeError
from sources.loaders import files, huggingface
from sources.mapping import image_cells as _pictures
from sources.mapping.cells import BrokenRow
from sources.mapping.choices import choice_letter
from sources.open import corpus_documents, load_source


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
    assert [choice_letter(a, choices, [], 1) for a in (2.0, "2.0", "2")] == ["B"] * 3
    assert choice_letter("1.0", ["0.5", "1.0"], [], 0) == "B"
    for none in (2.5, float("inf"), -1, "9" * 5000, True):
        with pytest.raises(BrokenRow, match="answer_not_a_choice"):
            choice_letter(none, choices, [], 0)


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
        assert (result[2].reason, result[3].images) == ("not_an_image", [])
    # The same file without `datasets`.
    direct = run(tmp_path, "files", path=path, columns={"images": "pics"})
    assert [getattr(r, "images", None) for r in direct] == [getattr(r, "images", None) for r in result]


def test_single_images_in_an_image_folder(tmp_path, monkeypatch):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "r.png").write_bytes(RED)
    (folder / "metadata.jsonl").write_text('{"file_name": "r.png", "question": "Colour?", "answer": "red"}')
    options = {"columns": {"images": "image"}, "task": "perception", "answer_type": "short_text"}
    for place in (
        {"path": "imagefolder", "data_dir": str(folder)},
        {"path": "imagefolder", "data_dir": "pictures"},
        {"path": "imagefolder", "data_files": str(folder / "**")},
        {"path": "imagefolder", "data_files": ["pictures/r.png", "pictures/metadata.jsonl"]},
        {"path": str(folder)},
        {"path": "pictures", "streaming": True},
        {"path": "imagefolder", "data_dir": str(folder), "streaming": True},
    ):
        monkeypatch.chdir(tmp_path)
        (result,) = run(tmp_path, "huggingface", **place, **options)
        assert isinstance(result, Question), (place, result)
        assert ImageStore(str(tmp_path / "store")).get(result.images[0]) == RED


def test_a_dataset_opens_no_files_but_its_own(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Features, Value
    from datasets import Image as ImageFeature

    data = tmp_path / "data"
    (data / "pictures").mkdir(parents=True)
    (data / "pictures" / "r.png").write_bytes(RED)
    (tmp_path / "secret.png").write_bytes(BLUE)
    with zipfile.ZipFile(data / "z.zip", "w") as archive:
        archive.writestr("r.png", RED)
    os.mkfifo(data / "pipe.png")
    outside = [
        str(tmp_path / "secret.png"), "../secret.png", str(data / ".." / "secret.png"), f"file://{data}/pictures/r.png",
        f"zip://r.png::{data}/z.zip", "ftp://127.0.0.1/x.png", "hf://datasets/lab/other@main/r.png", "memory://x",
    ]  # fmt: skip
    paths = [str(data / "pictures" / "r.png"), "pictures/r.png", *outside, str(data / "pipe.png"), "none.png"]
    features = Features({"question": Value("string"), "answer": Value("string"), "pic": ImageFeature()})
    cells = [{"bytes": None, "path": path} for path in paths]
    rows = [{"question": f"q{i}", "answer": "1", "pic": cell} for i, cell in enumerate(cells)]
    pq.write_table(pa.Table.from_pylist(rows, schema=features.arrow_schema), data / "rows.parquet")
    for place in (
        {"path": "parquet", "data_files": str(data / "*.parquet")},
        {"path": str(data), "data_files": "rows.parquet"},
    ):
        result = run(tmp_path, "huggingface", columns={"images": "pic"}, **place)
        assert [r.reason if isinstance(r, Reject) else "kept" for r in result] == [
            "kept", "kept", *["image_outside_folder"] * len(outside), "image_missing", "image_missing",
        ], place  # fmt: skip


def test_a_dataset_of_the_hub_opens_what_is_in_it(monkeypatch):
    import fsspec

    opened = []
    monkeypatch.setattr(fsspec, "open", lambda path, mode: opened.append(path) or io.BytesIO(RED))
    read = huggingface._reader(huggingface.Options(path="lab/sums", task="math"))
    assert read("hf://datasets/lab/sums@abc/r.png") == RED
    for path in (
        "hf://datasets/lab/sums2@abc/r.png", "hf://datasets/lab/sums/r.png", "hf://lab/sums@abc/r.png",
        "hf://datasets/lab/sums@abc/../../other/r.png", "hf://datasets/lab/sums@abc/z.zip::file:///x", "/etc/passwd",
    ):  # fmt: skip
        with pytest.raises(BrokenRow, match="image_outside_folder"):
            read(path)
    assert opened == ["hf://datasets/lab/sums@abc/r.png"]
    monkeypatch.setattr(_pictures, "MAX_BYTES", 10)
    with pytest.raises(BrokenRow, match="image_too_large"):
        read("hf://datasets/lab/sums@abc/r.png")


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


def test_an_evaluation_row_keeps_the_images_that_are_good(tmp_path):
    uris = ["data:image/png;base64," + base64.b64encode(data).decode() for data in (RED, b"broken", BLUE)]
    red, broken, blue = uris
    cells = [[red, broken, blue], [broken, broken], [], [blue], [red, red], None]
    path = jsonl(tmp_path, [{"question": f"q{i}", "answer": "1", "image": cell} for i, cell in enumerate(cells)])
    options = {"path": path, "task": "math", "columns": {"images": "image"}}
    spec = EvaluationSource(name="src", loader="files", options=options)
    store = ImageStore(str(tmp_path / "store"))
    made = list(load_source(spec, 0, store))
    assert [[store.get(i) for i in q.images] for q in made] == [[RED, BLUE], [], [], [BLUE], [RED, RED], []]
    assert [json.loads(q.extra).get("not_read") for q in made] == [
        "not_an_image", "not_an_image", None, None, None, None,
    ]  # fmt: skip


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


HOSTILE = {
    '{"question": "half \\ud83d", "answer": "1"}': "not_unicode",
    '{"question": "a", "answer": "\\udc00"}': "not_unicode",
    '{"question": "a", "answer": "1", "key": "\\ud83d"}': "not_unicode",
    '{"question": "a", "answer": "1", "also": ["b", "\\ud83d"]}': "not_unicode",
    '{"question": "a", "answer": "1", "image": "\\ud83d.png"}': "image_missing",
    '{"question": "a", "answer": "1", "more": {"\\ud83d": "\\ud83d"}}': "kept",
    '{"question": "a", "answer": "1", "more": 123456789012345678901234567890}': "kept",
    '{"question": "a", "answer": 123456789012345678901234567890}': "kept",
    '{"question": "a", "answer": 1e999}': "kept",
    '{"question": "a", "answer": ' + "9" * 5000 + "}": "json_unreadable",
    '{"question": "a", "answer": "1", "more": ' + "[" * 100_000 + "]" * 100_000 + "}": "json_unreadable",
    '{"question": "a", "answer": "1", "more": ' + '{"x":' * 120 + "1" + "}" * 121: "json_unreadable",
    '{"question": "a", "answer": "1", "more": [' + "[]," * 5000 + "1]}": "kept",
    "{}": "empty_text",
}


def test_hostile_lines_reject_themselves_alone(tmp_path):
    path = jsonl(tmp_path, [{"question": "good", "answer": "1", "also": "x", "key": "k", "image": []}, *HOSTILE])
    columns = {"id": "key", "aliases": "also", "images": "image || `[]`", "extra": ["more"]}
    for limit in (None, len(HOSTILE)):  # a limit has the rows looked at once more
        result = run(tmp_path, "files", limit, path=path, columns=columns)
        made = {r.text if isinstance(r, Question) else r.reason for r in result}
        assert {"good", "a", "not_unicode", "json_unreadable"} <= made | {"good"}
    assert len(result) == len(HOSTILE)
    result = run(tmp_path, "files", path=path, columns=columns)
    assert [r.reason if isinstance(r, Reject) else "kept" for r in result] == ["kept", *HOSTILE.values()]
    assert json.loads(result[6].extra) == {"more": {"?": "?"}}


def test_hostile_cells_of_a_table_reject_their_row_alone(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    answers = pa.array([b"1", b"\xff", b"2"]).cast(pa.binary()).view(pa.string())
    days = pa.array([0, 0, 2**60], pa.int64()).cast(pa.timestamp("us"))
    path = str(tmp_path / "rows.parquet")
    pq.write_table(pa.table({"question": ["a", "b", "c"], "answer": answers, "when": days}), path)
    columns = {"extra": ["when"]}
    for loader, place in (("files", {"path": path}), ("huggingface", {"path": "parquet", "data_files": path})):
        result = run(tmp_path, loader, columns=columns, **place)
        assert [getattr(r, "reason", "kept") for r in result] == ["kept", "not_unicode", "row_unreadable"], loader


def columns_of(path, **options):
    spec = Source(name="src", loader="files")
    return files.load(spec, files.Options(path=path, task="math", **options), 0).columns


def test_the_columns_of_json_lines_are_those_of_all_rows_in_any_order(tmp_path):
    rows = [{"question": f"q{i}", "answer": i} for i in range(600)] + [
        {"question": "x", "answer": "two", "late": [1], "flag": None},
        {"question": None, "answer": 1.5, "late": {"a": True}},
        {"answer": True},
    ]
    columns = {"extra": ["late", "flag"]}
    expected = {"question": "text", "answer": "boolean|number|text", "late": "list|object", "flag": "null"}
    assert columns_of(jsonl(tmp_path, rows), columns=columns) == expected
    assert columns_of(jsonl(tmp_path, rows[::-1]), columns=columns) == expected
    parts = [jsonl(tmp_path, rows[600:], "z.jsonl"), jsonl(tmp_path, rows[:600], "a.jsonl")]
    assert columns_of(parts, columns=columns) == expected
    with pytest.raises(RecipeError, match=r"no column 'gone' \(columns.id\); columns there: .*question.*late"):
        columns_of(parts, columns={"id": "gone"})


def test_another_writer_of_a_table_changes_no_column(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    def kinds(text, many):
        table = pa.table(
            {
                "question": pa.array(["a"], text),
                "answer": pa.array([["b"]], many(text)),
                "more": pa.array([{"x": [["c"]]}], pa.struct([("x", many(many(text)))])),
            }
        )
        pq.write_table(table, tmp_path / "t.parquet")
        return columns_of(str(tmp_path / "t.parquet"), columns={"extra": ["more"]})

    plain = kinds(pa.string(), pa.list_)
    assert plain["question"] == "string" and "list<" in plain["answer"]
    assert kinds(pa.large_string(), pa.large_list) == kinds(pa.string_view(), pa.list_) == plain
    assert kinds(pa.binary(), pa.list_) != plain


def test_limits_draw_with_the_seed_across_files(tmp_path, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet as pq

    # `datasets` waits so long whenever a stream is left before its end, lest the interpreter ends within its threads
    monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)
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


def test_lists_in_json_files_and_texts_in_csv(tmp_path):
    rows = [{"question": "zip?", "answer": "01234"}, 3]
    path = tmp_path / "rows.json"
    for text in (json.dumps(rows, indent=1), "\ufeff" + json.dumps(rows), "\n".join(map(json.dumps, rows))):
        path.write_text(text)
        first, second = run(tmp_path, "files", path=str(path))
        assert (first.answer, second.reason) == ("01234", "json_unreadable")
    for text, says in ((json.dumps({"data": rows}, indent=1), "jq -c"), ("[{", "no readable JSON")):
        path.write_text(text)
        with pytest.raises(RecipeError, match=says):
            run(tmp_path, "files", path=str(path))
    (tmp_path / "empty.parquet").touch()
    with pytest.raises(RecipeError, match=r"empty\.parquet is an empty file"):
        run(tmp_path, "files", path=str(tmp_path / "empty.parquet"))
    table = tmp_path / "rows.csv"
    table.write_text("question,answer\nzip?,01234\n")
    options = {"path": "csv", "data_files": str(table)}
    assert [run(tmp_path, "huggingface", **options, **more)[0].answer for more in ({}, {"as_text": ["answer"]})] == [
        "1234", "01234",
    ]  # fmt: skip
    with pytest.raises(RecipeError, match="as_text is for CSV"):
        run(tmp_path, "huggingface", path="json", data_files=str(path), as_text=["answer"])
