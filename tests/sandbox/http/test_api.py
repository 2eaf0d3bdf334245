"""The API refuses what it does not understand or allow, and says why."""

import json
import os

import httpx
import pytest

from records.faults import ToolInfrastructureError
from sandbox import SandboxUnavailable
from sandbox.contract import MAX_FILE_BYTES
from sandbox.http import wire
from tests.support.sandbox_servers import TOKEN, opened, raw, run, settings

NOTHING = wire.pack({}, [])


def head(line: str, **headers: str) -> bytes:
    lines = [f"{line} HTTP/1.1", "Host: x", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


AUTHORIZATION = f"Bearer {TOKEN}"


def test_a_session_from_beginning_to_end_as_a_third_party_would(api):
    """As docs/sandbox-server.md describes it, with nothing of ours but the token."""
    text = json.dumps({"images": 0, "files": ["a.txt"], "blobs": [3]}).encode()
    answer = api.post("/v1/sessions", content=len(text).to_bytes(4, "big") + text + b"abc").json()
    assert answer["state"] == "open" and answer["sessions"] == {"open": 1, "waiting": 0, "capacity": 2}
    cell = api.post(f"/v1/sessions/{answer['session']}/cells", json={"cell": 1, "code": "open('a.txt').read()"}).content
    size = int.from_bytes(cell[:4], "big")
    result = json.loads(cell[4 : 4 + size])
    assert (result["outcome"], result["value"], result["blobs"], result["state_lost"]) == ("ok", "'abc'", [], False)
    assert api.delete(f"/v1/sessions/{answer['session']}").json()["sessions"]["open"] == 0
    status = api.get("/v1/status").json()
    assert status["api"] == wire.API and "seccomp" in status["layers"] and status["limits"]["memory_mb"] == 1024


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN, "Bearer \xff"]
)
@pytest.mark.parametrize(
    "line", ["GET /v1/status", "POST /v1/sessions", "DELETE /v1/sessions/a", "GET /", "PUT /nothing"]
)
def test_without_the_token_nothing_is_learned_and_no_body_is_read(serve, line, authorization):
    headers = {"Content-Length": str(1 << 40), "Authorization": authorization}
    answer = raw(serve().url, head(line, **headers).decode().encode("latin-1"))  # and not a byte of the body
    status, _, rest = answer.partition(b"\r\n")
    assert status == b"HTTP/1.1 401 Unauthorized"
    assert rest.endswith(b"\r\n\r\n") and b"touchstone" not in rest.lower()


def test_two_tokens_are_none(serve):
    lines = head("GET /v1/status", Authorization=AUTHORIZATION).replace(
        b"\r\n\r\n", b"\r\nAuthorization: Bearer x\r\n\r\n"
    )
    assert b" 401 " in raw(serve().url, lines)


def test_a_body_that_is_announced_too_large_is_refused_before_it_comes(serve):
    lines = head("POST /v1/sessions", Authorization=AUTHORIZATION, Content_Length=str(wire.MAX_OPEN_BYTES + 1))
    assert raw(serve().url, lines).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_turns_out_too_large_is_cut_off(serve):
    running = serve()
    sent = 0

    def endless():
        nonlocal sent
        while True:
            sent += 1 << 20
            yield bytes(1 << 20)

    try:
        status = running.client.post("/v1/sessions", content=endless()).status_code
    except httpx.TransportError:  # it may close before we have read what it said
        status = 413
    assert status == 413 and sent < 4 * wire.MAX_OPEN_BYTES
    running.client.wait_for(open=0, waiting=0)


def test_the_largest_files_go_through(api):
    session = opened(api, {"large": os.urandom(1 << 20) * (MAX_FILE_BYTES >> 20)})
    assert run(api, session, 1, "import os; os.path.getsize('large')")["value"] == str(MAX_FILE_BYTES)


def test_one_byte_more_does_not(api):
    body = wire.pack({"images": 0, "files": ["x"]}, [bytes(MAX_FILE_BYTES + 1)])
    answer = api.post("/v1/sessions", content=body)
    assert (answer.status_code, answer.json()["error"]) == (422, "files")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0\0\0",
        b"\0\0\0\x05{}",
        b"\xff\xff\xff\xff{}",
        b"\0\0\0\x02[]",
        b"\0\0\0\x02{}",
        b"\0\0\0\x02{}x",
        wire.pack({"images": 1}, []),
        wire.pack({"images": -1, "files": ["a"]}, []),
        wire.pack({"images": True}, [b"x"]),
        wire.pack({"files": ["a", "a"]}, [b"", b""]),
        wire.pack({"files": [1]}, [b""]),
        wire.pack({"files": {"a": 1}}, [b""]),
        wire.pack({"limits": []}, []),
        wire.pack({"limits": {"sessions": 1}}, []),
        wire.pack({"limits": {"memory_mb": -1}}, []),
        wire.pack({"limits": {"memory_mb": "much"}}, []),
        wire.pack({"limits": {"cell_timeout_s": float("nan")}}, []),
        wire.pack({"limits": {"libraries": ["os; import x"]}}, []),
        b"\0\x02\0\0" + b"[" * (2 << 16),
    ],
)
def test_a_malformed_opening_is_refused(api, body):
    answer = api.post("/v1/sessions", content=body)
    assert (answer.status_code, answer.json()["error"]) == (400, "malformed"), answer.text
    assert api.sessions()["open"] == 0


@pytest.mark.parametrize("name", ["../x", "/x", "", "\ud800/../x"])
def test_files_with_other_ways_are_refused(api, name):
    answer = api.post("/v1/sessions", content=wire.pack({"files": [name]}, [b""]))
    assert (answer.status_code, answer.json()["error"]) == (422, "files")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"cell": 1}',
        b'{"cell": "1", "code": ""}',
        b'{"cell": 0, "code": ""}',
        b'{"cell": true, "code": ""}',
        b'{"cell": 1, "code": null}',
        b'{"cell": 1, "code": "", "x": 1}',
        b'{"cell": ' + b"1" * 5000 + b', "code": ""}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_a_malformed_cell_is_refused_and_the_session_goes_on(api, body):
    session = opened(api)
    answer = api.post(f"{session}/cells", content=body)
    assert (answer.status_code, answer.json()["error"]) == (400, "malformed"), answer.text
    assert run(api, session, 1, "1")["value"] == "1"


@pytest.mark.parametrize(
    ("limit", "value", "said"),
    [
        ("cell_timeout_s", 20.5, "at most 20"),
        ("cell_timeout_s", float("inf"), "at most 20"),
        ("cpu_s", 61, "at most 60"),
        ("cpus", 1.5, "at most 1"),
        ("memory_mb", 4096, "memory_mb is 4096, at most 1024"),
        ("processes", 33, "at most 32"),
        ("output_chars", 10**9, "at most 4000"),
        ("images_per_call", 5, "at most 4"),
        ("libraries", ["numpy", "torch"], "torch is not available, only numpy, PIL"),
    ],
)
def test_limits_above_the_servers_are_refused_with_the_maximum(api, limit, value, said):
    answer = api.post("/v1/sessions", content=wire.pack({"limits": {limit: value}}, []))
    assert (answer.status_code, answer.json()["error"]) == (422, "limits")
    assert limit in answer.json()["detail"] and said in answer.json()["detail"]


@pytest.mark.parametrize("seed", [-1, 1 << 63, 1.5, "1", True])
def test_a_seed_that_is_none_is_refused(api, seed):
    answer = api.post("/v1/sessions", content=wire.pack({"seed": seed}, []))
    assert (answer.status_code, answer.json()["error"]) == (400, "malformed") and "seed" in answer.json()["detail"]


def test_limits_below_the_servers_hold(api):
    session = opened(api, limits=settings(cell_timeout_s=1.5, output_chars=100))
    assert len(run(api, session, 1, "print('a' * 1000)")["stdout"]) < 200
    result = run(api, session, 2, "while True: pass")
    assert result["outcome"] == "timed_out" and "1.5 seconds" in result["error"]


@pytest.mark.parametrize("name", ["short", "x" * 101, "a" * 30 + "%20", "a" * 30 + "%2f..", "%c3%a9" * 30])
def test_an_id_that_could_be_guessed_or_is_no_name_is_refused(api, name):
    answer = api.put(f"/v1/sessions/{name}", content=NOTHING)
    assert answer.status_code in (400, 404) and api.sessions()["open"] == 0


def test_what_a_failing_machine_says(serve):
    class Failing:
        def __init__(self, error: Exception) -> None:
            self.error = error

        async def open(self, *_: object) -> None:
            raise self.error

        async def close(self) -> None:
            pass

    cases = [(SandboxUnavailable("no walls"), 501, "unavailable"), (ToolInfrastructureError("no fork"), 503, "fault")]
    for error, status, code in [*cases, (OSError("full"), 503, "fault")]:
        client = serve(make=lambda _, error=error: Failing(error)).client
        answer = client.post("/v1/sessions", content=wire.pack({}, []))
        assert (answer.status_code, answer.json()["error"]) == (status, code)
        assert str(error) in answer.json()["detail"]
        assert client.sessions() == {"open": 0, "waiting": 0, "capacity": 2}
