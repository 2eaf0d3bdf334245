"""Answers of a hostile server are faults of ours, and do no harm."""

import gzip
import io

import pytest
from PIL import Image

from records.faults import ToolInfrastructureError
from sandbox import rebuilding
from sandbox.http import fleet, remote_session, wire
from sandbox.http.remote import RemoteSandbox
from tests.support.sandbox_servers import (
    Liar,
    settings,
)


def blob(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


GOOD = {"outcome": "ok", "state_lost": False, "notes": [], "usage": {}}


GOOD |= dict.fromkeys(("stdout", "stderr", "value", "error"), "")


def cell(*images: bytes, **changes: object) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": wire.FRAME}, wire.pack({**GOOD, **changes}, images)


async def test_the_liar_can_be_believed_when_it_does_not_lie(start):
    sandbox = RemoteSandbox(settings(start(Liar, cells=cell(blob(3, 4), value="1")).url))
    async with await sandbox.open() as session:
        result = await session.run("1")
        assert (result.outcome, result.value, len(result.images)) == ("ok", "1", 1)
    await sandbox.close()


@pytest.mark.parametrize(
    "answer",
    [
        cell(outcome="invalid_call"),
        cell(outcome=["ok"]),
        cell(outcome=None),
        cell(state_lost=0),
        cell(stdout=None),
        cell(value=5),
        cell(value="x" * 10_000),
        cell(notes="note"),
        cell(notes=[1]),
        cell(notes=["x"] * 1000),
        cell(*[blob(1, 1)] * 5),
        cell(b"GIF89a"),
        cell(blob(50, 50)[:-40]),
        cell(blob(3000, 3000)),
        cell(b"\x89PNG\r\n\x1a\n" + bytes(8) + b"\xff" * 8),
        (200, {"Content-Type": wire.FRAME}, b"\xff\xff\xff\xff"),
        (200, {"Content-Type": wire.FRAME}, b"\0\x02\0\0" + b"[" * (2 << 16)),
        (200, {"Content-Type": wire.FRAME}, cell()[2] + b"x"),
        (200, {"Content-Type": "application/json"}, b'{"state": "running"}'),
        (200, {"Content-Type": wire.FRAME, "Content-Encoding": "gzip"}, gzip.compress(cell()[2])),
        (200, {"Content-Type": wire.FRAME, "Content-Length": "1000000"}, b""),
        (200, {"Content-Type": "text/html"}, b"<html>"),
        (302, {"Location": "http://127.0.0.1:1/"}, b""),
        (401, {}, b""),
        (409, {}, b'{"error": "wrong_cell", "detail": "?"}'),
        (404, {}, b'{"error": ["x"], "detail": {}}'),
        (500, {}, b""),
        (503, {"Retry-After": "-1"}, b'{"error": "busy"}'),
        (503, {"Retry-After": "soon"}, b'{"error": "fault"}'),
    ],
)
async def test_a_hostile_answer_is_a_fault_of_ours(start, quickly, monkeypatch, answer):
    monkeypatch.setattr(fleet, "FIRST_DELAY_S", 0.01)
    monkeypatch.setattr(fleet, "FIRST_REST_S", 0.01)
    monkeypatch.setattr(fleet, "SILENCE_S", 0.5)
    monkeypatch.setattr(rebuilding, "ATTEMPTS", 2)
    liar = start(Liar, cells=answer)
    sandbox = RemoteSandbox(settings(liar.url))
    async with await sandbox.open() as session:
        result = await session.run("1")
        assert (result.outcome, result.value, result.images) == ("infrastructure", "", [])
        result.error.encode()
    await sandbox.close()


async def test_lone_surrogates_and_odd_numbers_are_made_harmless(start):
    usage = {"seconds": float("nan"), "cpu_s": "1", "memory_bytes": 10**400, "processes": -1}
    sandbox = RemoteSandbox(settings(start(Liar, cells=cell(stdout="a\ud800", notes=["\udfff"], usage=usage)).url))
    async with await sandbox.open() as session:
        result = await session.run("1")
        assert (result.stdout, result.notes) == ("a\\ud800", ["\\udfff"])
        assert (result.usage.seconds, result.usage.memory_bytes, result.usage.processes) == (0.0, 0, 0)
    await sandbox.close()


@pytest.mark.parametrize(
    "answer",
    [
        Liar.json({}),
        Liar.json({"version": "1", "sessions": {"open": "0", "waiting": 0, "capacity": 8}}),
        Liar.json({"error": ["files"], "detail": 5}, 422),
        (200, {}, b""),
        (500, {}, b"{}"),
    ],
)
async def test_a_hostile_answer_to_an_opening_is_a_fault_of_ours(start, quickly, monkeypatch, answer):
    monkeypatch.setattr(fleet, "FIRST_DELAY_S", 0.01)
    liar = start(Liar, open=answer)
    sandbox = RemoteSandbox(settings(liar.url))
    with pytest.raises(ToolInfrastructureError, match=liar.url):
        await sandbox.open()
    await sandbox.close()


async def test_an_endless_answer_is_not_read(start, quickly, monkeypatch):
    monkeypatch.setattr(wire, "MAX_ANSWER_BYTES", 1 << 20)
    monkeypatch.setattr(rebuilding, "ATTEMPTS", 1)
    liar = start(Liar, cells=(200, {"Content-Type": wire.FRAME}, bytes(8 << 20)))
    sandbox = RemoteSandbox(settings(liar.url))
    async with await sandbox.open() as session:
        result = await session.run("1")
        assert result.outcome == "infrastructure" and "more than 1048576 bytes" in result.error
    await sandbox.close()


async def test_a_cell_that_is_always_said_to_run_is_given_up(start, quickly, monkeypatch):
    monkeypatch.setattr(remote_session, "CELL_PATIENCE_S", 0.5)
    monkeypatch.setattr(rebuilding, "ATTEMPTS", 1)
    liar = start(Liar, cells=Liar.json({"state": "running"}, 202))
    sandbox = RemoteSandbox(settings(liar.url, cell_timeout_s=0.5))
    async with await sandbox.open() as session:
        assert (await session.run("1")).outcome == "infrastructure"
        assert sum("cells" in path for path in liar.asked) < 10  # and the server was not asked without a pause
    await sandbox.close()
