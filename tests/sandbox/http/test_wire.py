"""Bytes of all kinds are read, or refused as malformed."""

import contextlib
import json

from hypothesis import given
from hypothesis import strategies as st

from sandbox.contract import CellResult, Usage
from sandbox.description import SandboxDescription
from sandbox.http import wire
from tests.support.sandbox_servers import (
    LIMITS,
)


def head(line: str, **headers: str) -> bytes:
    lines = [f"{line} HTTP/1.1", "Host: x", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


FILES = st.lists(st.binary(max_size=20), max_size=4)


@given(head=st.dictionaries(st.text(max_size=5), JSONS, max_size=4), blobs=FILES)
def test_frames_come_back_as_they_went(head, blobs):
    head.pop("blobs", None)
    body = wire.pack(head, blobs)
    again, files = wire.unpack(body)
    assert files == blobs and json.dumps(again) == json.dumps(json.loads(json.dumps(head)))


@given(
    head=st.dictionaries(st.sampled_from(["images", "files", "limits", "blobs"]), JSONS, max_size=4),
    blobs=FILES,
    cut=st.integers(0, 60),
    flip=st.integers(0, 60),
)
def test_frames_of_all_kinds_are_read_or_malformed(head, blobs, cut, flip):
    text = json.dumps({"blobs": [len(blob) for blob in blobs], **head}).encode()
    body = bytearray(len(text).to_bytes(4, "big") + text + b"".join(blobs))
    for broken in (body, body[:cut], body[cut:], body[:flip] + b"\x07" + body[flip + 1 :]):
        for read in (wire.unpack, lambda part: wire.read_opening(part, LIMITS), wire.read_cell):
            with contextlib.suppress(wire.Malformed):
                read(broken)


@given(
    head=st.fixed_dictionaries(
        {},
        optional={
            "outcome": st.sampled_from(["ok", "raised", "invalid_call", ""]) | JSONS,
            "state_lost": st.booleans() | JSONS,
            "usage": st.dictionaries(st.sampled_from(["seconds", "cpu_s", "memory_bytes"]), JSONS) | JSONS,
            "notes": st.lists(st.text(max_size=3)) | JSONS,
            **{name: st.text(max_size=9) | JSONS for name in ("stdout", "stderr", "value", "error")},
        },
    ),
    blobs=FILES,
)
def test_answers_of_all_kinds_are_read_or_malformed(head, blobs):
    try:
        result = wire.read_result(head, blobs, LIMITS)
    except wire.Malformed:
        return
    assert result.outcome not in ("invalid_call", "") and not result.images
    assert all(isinstance(text, str) and text.encode() is not None for text in (result.stdout, result.error))
    assert 0 <= result.usage.seconds < 2**63 and isinstance(result.usage.memory_bytes, int)


@given(head=st.dictionaries(st.sampled_from(["api", "version", "layers", "libraries", "limits", "sessions"]), JSONS))
def test_statuses_of_all_kinds_are_read_or_malformed(head):
    for status in (head, {**wire.pack_status(SandboxDescription("1"), LIMITS, wire.Load()), **head}):
        try:
            description, _, load = wire.read_status(status)
        except wire.Malformed:
            continue
        assert isinstance(description.version, str) and load.capacity >= 1


@given(
    st.builds(
        CellResult, st.just("raised"), *[st.text(max_size=20)] * 4, notes=st.lists(st.text(max_size=9), max_size=3)
    )
)
def test_results_come_back_as_they_went(result):
    head, blobs = wire.unpack(wire.pack_result(result))
    again = wire.read_result(head, blobs, LIMITS)
    assert again.stdout == result.stdout.encode("utf-8", "backslashreplace").decode()
    assert (again.outcome, len(again.notes), again.usage) == ("raised", len(result.notes), Usage())
