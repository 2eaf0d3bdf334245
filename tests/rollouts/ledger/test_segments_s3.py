"""The same on an S3-compatible server, over HTTP on the loopback: other listings, other errors, no rename."""

import uuid

import polars as pl
import pytest
from moto.server import ThreadedMotoServer

from rollouts.ledger import store as module
from rollouts.ledger.compaction import compact
from rollouts.ledger.ledger import Ledger
from rollouts.ledger.segments import Segments
from tests.rollouts.ledger.test_ledger import rollout
from tests.rollouts.ledger.test_segments import COLUMNS, KIND, keys, rows


@pytest.fixture(scope="module")
def endpoint():
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def root(endpoint, monkeypatch):
    """A bucket of its own; the client is set up by the environment, as a user would."""
    for name, value in [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", "nobody"),
        ("AWS_SECRET_ACCESS_KEY", "nothing"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ]:
        monkeypatch.setenv(name, value)
    return f"s3://bucket-{uuid.uuid4().hex[:12]}/data/calls"


def test_two_writers_poll_compact_and_read(root):
    one, two = Segments(root, KIND), Segments(root, KIND)
    assert one.names() == [] and one.read(COLUMNS).is_empty()
    one.append(rows("a"))
    assert keys(two.news(["key"])) == ["a"]
    two.append(rows("b"))
    two.append(rows("a", value="again"))
    assert keys(one.news(["key"])) == ["a", "b"] and two.news(["key"]).is_empty()
    report = compact(one)
    assert (report.segments_before, report.segments_after, report.rows, report.duplicates) == (3, 1, 2, 1)
    assert len(two.names()) == 1 and keys(two.read(["key"])) == ["a", "b"]
    got = pl.concat(two.batches(COLUMNS)).sort("key")  # of the two "a", that of the writer whose name comes first
    assert got["value"].to_list() in (["v-a", "v-b"], ["again-a", "v-b"])


@pytest.mark.parametrize("whole", [0, module._FETCH_WHOLE])
def test_a_segment_merged_while_it_is_read_is_found_again(root, monkeypatch, whole):
    """The first request, for a part or the whole, that finds the object gone ends in the merged one."""
    monkeypatch.setattr(module, "_FETCH_WHOLE", whole)
    for key in "abc":
        Segments(root, KIND).append(rows(key))
    reader = Segments(root, KIND)
    first = reader.names()
    source, merged = reader.store.source, []

    def merged_first(name):
        opened = source(name) if whole == 0 else None  # a large one is opened by its size, without a request
        if not merged:
            merged.append(compact(Segments(root, KIND)))
        return opened or source(name)

    reader.store.threads = 1
    monkeypatch.setattr(reader.store, "source", merged_first)
    assert keys(reader.read(["key"])) == ["a", "b", "c"] and merged[0].rows == 3
    assert keys(reader.read(["key"], first[:1])) == ["a", "b", "c"]
    assert not reader.set_aside


def test_the_unreadable_is_set_aside_and_the_rest_is_read(root):
    segments, other = Segments(root, KIND), Segments(root, KIND)
    segments.append(rows("a"))
    fs = segments.store._fs
    for name, data in [("empty", b""), ("torn", b"PAR1 and no more")]:
        fs.pipe_file(segments.store.path(f"0-{name}.parquet"), data)
    names = segments.names()
    assert keys(segments.read(["key"])) == ["a"] and len(segments.set_aside) == 2
    assert keys(other.read(["key"], names)) == ["a"] and not other.set_aside
    assert fs.cat_file(sorted(segments.set_aside)[1]) == b"PAR1 and no more"
    assert len(segments.names()) == 1


def test_a_server_that_is_down_sets_nothing_aside(root, monkeypatch):
    segments = Segments(root, KIND)
    segments.append(rows("a"))
    name = segments.names()
    fs, path = segments.store._fs, segments.store.path(name[0])

    def denied(*_, **__):
        raise PermissionError("Access Denied")

    monkeypatch.setattr(fs, "cat_file", denied)
    with pytest.raises(PermissionError, match="Access Denied"):
        segments.read(COLUMNS)
    monkeypatch.undo()
    assert fs.exists(path) and keys(segments.read(COLUMNS)) == ["a"]


async def test_a_ledger(root):
    """Two runs on two machines: what one finished is read and seen by the other."""

    async def make():
        return {"text": "4"}

    with Ledger(root) as one, Ledger(root) as two:
        await one.once("begun", "model", "k", make)
        one.finish(rollout("done"))
        one.flush()
        two.look_around()
        assert two.found("s", "q", 0).correct is True
    with Ledger(root) as again:
        assert again.get("begun", "k") == {"text": "4"}
        assert again.select(["rollout_id", "setting"], pl.col("arm") == "direct").rows() == [("done", "s")]
