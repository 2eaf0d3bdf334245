"""The HTTP API of the sandbox, asked without our client."""

import contextlib
import json
import os
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from records.faults import ToolInfrastructureError
from sandbox import LocalSandbox, SandboxUnavailable
from sandbox.contract import MAX_FILE_BYTES, CellResult, Usage
from sandbox.http import server, wire
from tests.support.sandbox_servers import TOKEN, Client, ServerProcess, ThreadServer, settings

LIMITS = settings(cell_timeout_s=20, sessions=2)


@pytest.fixture
def serve():
    """Call it with settings; it returns a running ThreadServer."""
    running = []

    def start(limits=LIMITS, **more) -> ThreadServer:
        running.append(ThreadServer(limits, **more))
        return running[-1]

    yield start
    for one in running:
        one.stop()


@pytest.fixture
def api(serve) -> Client:
    return serve().client


NOTHING = wire.pack({}, [])


def opened(client: Client, files=None, limits=None) -> str:
    files = files or {}
    body = wire.pack_opening([], files, limits) if limits else wire.pack({"files": list(files)}, [*files.values()])
    answer = client.post("/v1/sessions", content=body, headers={"Content-Type": wire.FRAME})
    path = f"/v1/sessions/{answer.json().get('session')}"
    assert answer.status_code in (200, 202), answer.text
    return until_open(client, path)


def until_open(client: Client, path: str) -> str:
    deadline = time.monotonic() + 20
    while (answer := client.get(path)).status_code == 202:
        assert time.monotonic() < deadline
    assert answer.json()["state"] == "open"
    return path


def asked(client: Client, session: str, cell: int, code: str) -> httpx.Response:
    return client.post(f"{session}/cells", json={"cell": cell, "code": code})


def run(client: Client, session: str, cell: int, code: str) -> dict:
    answer = asked(client, session, cell, code)
    assert answer.status_code == 200, answer.text
    return wire.unpack(answer.content)[0]


def raw(url: str, *parts: bytes) -> bytes:
    """What comes back over a bare connection until the server closes it."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
        data = b""
        while more := connection.recv(1 << 16):
            data += more
        return data


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
    assert status["api"] == 1 and "seccomp" in status["layers"] and status["limits"]["memory_mb"] == 1024


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


@pytest.mark.parametrize("token", ["", "short", "x" * 15, "a token with spaces in it", "é" * 20, "x" * 20 + "\n"])
def test_a_token_that_will_not_do_is_refused(token):
    with pytest.raises(SandboxUnavailable, match="TOUCHSTONE_SANDBOX_TOKEN"):
        server.build_app(LocalSandbox, LIMITS, server.About("1"), token)
    with pytest.raises(SandboxUnavailable, match="TOUCHSTONE_SANDBOX_TOKEN"):
        server.serve(LIMITS, token, port=0)


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


def test_the_example_of_the_documentation_runs(serve, tmp_path, monkeypatch, capsys):
    text = (Path(__file__).parents[3] / "docs/sandbox-server.md").read_text()
    code = re.search("```python\n(.*?)```", text, re.DOTALL)[1]
    assert "http://127.0.0.1:8717" in code
    Image.new("RGB", (7, 5)).save(tmp_path / "image.png")
    monkeypatch.chdir(tmp_path)
    exec(code.replace("http://127.0.0.1:8717", serve(hold_s=0.2).url), {"token": TOKEN})
    assert capsys.readouterr().out == "(7, 5)\n"


def test_a_lost_repetition_of_an_opening_ends_nothing(serve):
    client = serve().client
    path = f"/v1/sessions/{wire.new_session()}"
    assert client.put(path, content=NOTHING).status_code == 200
    run(client, path, 1, "x = 1")
    again = head(f"PUT {path}", Authorization=AUTHORIZATION, Content_Length=str(len(NOTHING))) + NOTHING
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", client.base_url.port)) as connection:
            connection.sendall(again)
    time.sleep(0.3)
    assert run(client, path, 2, "x")["value"] == "1"


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
        ("libraries", ["numpy", "torch"], "torch is not there; there are numpy, PIL"),
    ],
)
def test_limits_above_the_servers_are_refused_with_the_maximum(api, limit, value, said):
    answer = api.post("/v1/sessions", content=wire.pack({"limits": {limit: value}}, []))
    assert (answer.status_code, answer.json()["error"]) == (422, "limits")
    assert limit in answer.json()["detail"] and said in answer.json()["detail"]


def test_limits_below_the_servers_hold(api):
    session = opened(api, limits=settings(cell_timeout_s=0.5, output_chars=100))
    assert len(run(api, session, 1, "print('a' * 1000)")["stdout"]) < 200
    result = run(api, session, 2, "while True: pass")
    assert result["outcome"] == "timed_out" and "0.5 seconds" in result["error"]


def test_a_cell_asked_again_runs_once(api):
    session = opened(api)
    first = asked(api, session, 1, "import os\nos.urandom(8)")
    assert first.status_code == 200
    assert asked(api, session, 1, "import os\nos.urandom(8)").content == first.content
    other = asked(api, session, 1, "2")
    assert (other.status_code, other.json()["error"]) == (409, "wrong_cell") and "other code" in other.text
    assert run(api, session, 2, "2")["value"] == "2"


def test_cells_out_of_order_are_refused(api):
    session = opened(api)
    assert asked(api, session, 2, "1").status_code == 409
    for number in (1, 2):
        run(api, session, number, "1")
    for number in (1, 4):
        assert asked(api, session, number, "1").status_code == 409


def test_a_long_cell_is_asked_for_again_and_the_next_has_to_wait(serve):
    client = serve(hold_s=0.2).client
    session = opened(client)
    code = "import time\ntime.sleep(0.7)\n1"
    answer = asked(client, session, 1, code)
    assert (answer.status_code, answer.json()["state"]) == (202, "running")
    assert asked(client, session, 2, "2").status_code == 409
    deadline = time.monotonic() + 20
    while (answer := asked(client, session, 1, code)).status_code == 202:
        assert time.monotonic() < deadline
    assert run(client, session, 1, code)["value"] == "1" and answer.status_code == 200


def test_sessions_wait_in_order_and_are_asked_for(serve):
    client = serve(settings(sessions=1), hold_s=0.1).client
    first = opened(client)
    waiting = [client.post("/v1/sessions", content=NOTHING).json() for _ in range(3)]
    assert [answer["state"] for answer in waiting] == ["waiting"] * 3
    assert client.sessions() == {"open": 1, "waiting": 3, "capacity": 1}
    paths = [f"/v1/sessions/{answer['session']}" for answer in waiting]
    assert client.get(paths[0]).status_code == 202
    client.delete(first)
    until_open(client, paths[0])
    assert [client.get(path).status_code for path in paths] == [200, 202, 202]
    client.delete(paths[1])  # one that waits can be closed
    client.delete(paths[0])
    until_open(client, paths[2])
    assert client.sessions() == {"open": 1, "waiting": 0, "capacity": 1}


def test_a_session_whose_id_the_client_chose_is_opened_once(serve):
    client = serve(settings(sessions=1), hold_s=0.1).client
    path, other = (f"/v1/sessions/{wire.new_session()}" for _ in range(2))
    client.put(path, content=NOTHING)
    until_open(client, path)
    for _ in range(3):
        assert client.put(path, content=NOTHING).json()["state"] == "open"
        assert client.put(other, content=NOTHING).json()["state"] == "waiting"
    assert client.sessions() == {"open": 1, "waiting": 1, "capacity": 1}
    client.delete(path)
    until_open(client, other)


@pytest.mark.parametrize("name", ["short", "x" * 101, "a" * 30 + "%20", "a" * 30 + "%2f..", "%c3%a9" * 30])
def test_an_id_that_could_be_guessed_or_is_no_name_is_refused(api, name):
    answer = api.put(f"/v1/sessions/{name}", content=NOTHING)
    assert answer.status_code in (400, 404) and api.sessions()["open"] == 0


def test_too_many_that_wait_are_sent_away(serve, monkeypatch):
    from sandbox.http import api as module

    monkeypatch.setattr(module, "MOST_WAITING", 1)
    client = serve(settings(sessions=1), hold_s=0.1).client
    opened(client)
    answers = [client.post("/v1/sessions", content=NOTHING) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 503]
    assert answers[1].json()["error"] == "busy" and float(answers[1].headers["retry-after"]) > 0


def test_bodies_of_those_that_wait_are_counted(serve, monkeypatch):
    from sandbox.http import api as module

    monkeypatch.setattr(module, "MOST_WAITING_BYTES", 3 << 20)
    client = serve(settings(sessions=1), hold_s=0.1).client
    body = wire.pack({"files": ["x"]}, [bytes(1 << 20)])
    opened(client)
    answers = [client.post("/v1/sessions", content=body).status_code for _ in range(3)]
    assert answers == [202, 202, 503]


def test_a_client_that_goes_while_it_waits_takes_no_place(serve):
    client = serve(settings(sessions=1)).client
    first = opened(client)
    with Client(str(client.base_url)) as other, pytest.raises(httpx.ReadTimeout):
        other.post("/v1/sessions", content=NOTHING, timeout=0.3)
    client.wait_for(open=1, waiting=0)
    client.delete(first)
    assert run(client, opened(client), 1, "1")["value"] == "1"


def test_a_client_that_goes_in_the_middle_of_its_body_takes_no_place(serve):
    running = serve()
    lines = head("POST /v1/sessions", Authorization=AUTHORIZATION, Content_Length="1000000")
    with socket.create_connection(("127.0.0.1", running.port)) as connection:
        connection.sendall(lines + b"x" * 1000)
    running.client.wait_for(open=0, waiting=0)
    assert run(running.client, opened(running.client), 1, "1")["value"] == "1"


def test_forgotten_sessions_are_ended(serve):
    client = serve(idle_s=1.5, hold_s=0.2).client
    forgotten, used = opened(client), opened(client)
    for number in range(1, 13):
        run(client, used, number, "1")
        time.sleep(0.2)
    answer = asked(client, forgotten, 1, "1")
    assert (answer.status_code, answer.json()["error"]) == (404, "unknown_session")
    assert client.sessions()["open"] == 1
    client.wait_for(open=0)


def test_those_that_wait_and_are_forgotten_are_ended(serve):
    client = serve(settings(sessions=1), idle_s=2.0, hold_s=0.1).client
    held = opened(client)
    assert client.post("/v1/sessions", content=NOTHING).status_code == 202
    deadline = time.monotonic() + 10
    number = 0
    while client.sessions()["waiting"] and time.monotonic() < deadline:
        run(client, held, number := number + 1, "1")
        time.sleep(0.1)
    assert client.sessions() == {"open": 1, "waiting": 0, "capacity": 1}


def test_closing_ends_a_cell_and_frees_the_place(api):
    session = opened(api)
    with ThreadPoolExecutor() as pool, Client(str(api.base_url)) as other:
        running = pool.submit(asked, other, session, 1, "while True: pass")
        time.sleep(0.3)
        assert api.delete(session).json()["sessions"]["open"] == 0
        answer = running.result(10)
    assert (answer.status_code, answer.json()["error"]) == (404, "unknown_session")
    assert api.delete(session).status_code == 404


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


def test_a_server_that_is_told_to_stop_leaves_nothing_behind():
    running = ServerProcess(settings(cell_timeout_s=30))
    try:
        session = opened(running.client)
        run(running.client, session, 1, "import subprocess\np = subprocess.Popen(['sleep', '600'])")
        below = running.descendants()
        assert len(below) >= 4  # bubblewrap, the fork server, the session, its child
        with ThreadPoolExecutor() as pool:
            pool.submit(lambda: asked(running.client, session, 2, "while True: pass"))
            time.sleep(0.5)
            began = time.monotonic()
            assert running.stop() == 0
        assert time.monotonic() - began < 15
    finally:
        running.kill()
    running.gone(below)


def test_many_openings_at_once_queue(serve):
    running = serve(settings(sessions=3))

    def one(number: int) -> str:
        with Client(running.url) as client:
            session = opened(client)
            value = run(client, session, 1, f"import time\ntime.sleep(0.02)\n{number}")["value"]
            client.delete(session)
            return value

    with ThreadPoolExecutor(30) as pool:
        assert list(pool.map(one, range(30))) == [str(number) for number in range(30)]
    assert running.client.sessions() == {"open": 0, "waiting": 0, "capacity": 3}


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
    for status in (head, {**wire.pack_status(server.About("1"), LIMITS, wire.Load()), **head}):
        try:
            about, _, load = wire.read_status(status)
        except wire.Malformed:
            continue
        assert isinstance(about.version, str) and load.capacity >= 1


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
