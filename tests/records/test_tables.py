import os

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from records import tables
from records.question import Question
from records.trajectory import Block, ExecutedCall, Message, Rollout, ToolCall, ToolResult

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
messages = st.builds(
    Message,
    role=st.sampled_from(["system", "user", "assistant", "tool"]),
    content=st.lists(st.builds(Block, type=st.just("text"), text=texts), max_size=2),
    reasoning=texts,
    tool_calls=st.lists(st.builds(ToolCall, name=texts, arguments=texts), max_size=2),
    answer=st.none() | texts,
    raw=st.none() | texts,
)
rollouts = st.builds(
    Rollout,
    prompt=st.lists(messages, max_size=2),
    messages=st.lists(messages, max_size=3),
    answer=st.none() | texts,
    tool_calls=st.lists(st.builds(ExecutedCall, result=st.builds(ToolResult, outcome=st.just("ok"), text=texts))),
    correct=st.none() | st.booleans(),
    prompt_tokens=st.integers(0, 10**9),
    completion_tokens=st.integers(0, 10**9),
    sample_index=st.integers(0, 99),
    seconds=st.floats(0, 1e6),
)


@given(st.lists(rollouts, max_size=4))
def test_rows_survive_a_table_without_loss(rows):
    frame = tables.to_frame(rows, Rollout)
    assert frame.schema == tables.schema(Rollout)
    assert tables.from_frame(frame, Rollout) == rows


def question(**more):
    given = {"source": "s", "source_row": "1", "task": "math", "text": "1+1?", "answer": "2", "answer_type": "number"}
    return Question(**(given | more))


def test_identity_goes_by_content_alone():
    assert question().question_id == question(source="other", source_row="9", licence="MIT").question_id
    different = [question(text="1+2?"), question(answer="3"), question(images=["a"]), question(choices=["2", "3"])]
    assert len({q.question_id for q in [question(), *different]}) == 5


@pytest.mark.parametrize("root", ["local", "memory://tables"])
def test_a_table_is_stored_whole_with_its_version(root, tmp_path):
    store = tables.TableStore(str(tmp_path) if root == "local" else root)
    frame = tables.to_frame([question()], Question)
    store.write("stage/questions", frame)
    assert store.read("stage/questions").equals(frame)


def test_a_newer_version_and_a_foreign_file_are_refused(tmp_path, monkeypatch):
    store = tables.TableStore(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="materialize the asset 'questions'"):
        store.read("questions")
    monkeypatch.setattr(tables, "SCHEMA_VERSION", 99)
    store.write("questions", pl.DataFrame({"a": [1]}))
    monkeypatch.undo()
    with pytest.raises(tables.SchemaError, match="schema version 99"):
        store.read("questions")
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "foreign.parquet")
    with pytest.raises(tables.SchemaError, match="not a table of Touchstone"):
        store.read("foreign")


@pytest.mark.parametrize("root", ["local", "memory://tables"])
def test_a_table_file_is_taken_over_and_read_in_part(root, tmp_path):
    store = tables.TableStore(str(tmp_path / "store") if root == "local" else root)
    file = tmp_path / "made" / "table.parquet"
    frame = pl.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None]})
    frame.write_parquet(file, metadata={tables.VERSION_KEY: "1"}, mkdir=True)
    store.adopt("t", tables.TableFile(file))
    assert not file.parent.exists() and store.read("t").equals(frame)
    assert store.scan("t").filter(pl.col("a") > 1).select("b").collect()["b"].to_list() == ["y", None]
    frame.write_parquet(file, metadata={tables.VERSION_KEY: "99"}, mkdir=True)
    store.adopt("t", tables.TableFile(file))
    with pytest.raises(tables.SchemaError, match="version 99"):
        store.scan("t")


def test_a_damaged_table_is_named_with_what_to_do(tmp_path):
    store = tables.TableStore(str(tmp_path))
    for content, what in ((b"", "is empty"), (b"PAR1 and no more", "is damaged")):
        (tmp_path / "numbers.parquet").write_bytes(content)
        with pytest.raises(tables.SchemaError, match=rf"numbers.parquet {what}.*Remove it.*asset 'numbers'"):
            store.read("numbers")
    with pytest.raises(FileNotFoundError, match="materialize the asset 'sums' first"):
        store.read("rejects/sums")


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    store = tables.TableStore(str(tmp_path))

    def full(frame, file, **_):
        file.write(b"PAR1")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space"):
        patched.setattr(pl.DataFrame, "write_parquet", full)
        store.write("numbers", pl.DataFrame({"n": [1]}))
    assert not list(tmp_path.iterdir())
    old, new = tmp_path / "numbers.parquet.0.tmp", tmp_path / "numbers.parquet.1.tmp"
    for part in (old, new):
        part.write_bytes(b"of a run that was killed, or is at work")
    os.utime(old, (1, 1))
    store.write("numbers", pl.DataFrame({"n": [1]}))
    assert {path.name for path in tmp_path.iterdir()} == {"numbers.parquet", new.name}


def test_a_column_that_an_older_version_did_not_write_has_its_default():
    new = tables.to_frame([question(answer_rule="vqa"), question(text="2+2?")], Question)
    old = new.drop("answer_rule", "aliases").with_columns(first_seen=pl.lit(1))
    whole = tables.completed(old, Question)
    assert whole.columns == [*tables.schema(Question), "first_seen"]
    assert whole["answer_rule"].to_list() == ["", ""] and whole["aliases"].to_list() == [[], []]
    assert tables.completed(new, Question) is new
    assert tables.stack([new, old.drop("first_seen")], Question).height == 4
