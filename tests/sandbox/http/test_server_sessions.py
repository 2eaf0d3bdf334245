"""A server's sessions wait in order, run each cell once, and end when nobody asks for them."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from sandbox.http import wire
from tests.support.sandbox_servers import TOKEN, Client, asked, opened, run, settings, until_open

NOTHING = wire.pack({}, [])


def head(line: str, **headers: str) -> bytes:
    lines = [f"{line} HTTP/1.1", "Host: x", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


AUTHORIZATION = f"Bearer {TOKEN}"


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
    code = "import time\ntime.sleep(3)\n1"
    answer = asked(client, session, 1, code)
    assert (answer.status_code, answer.json()["state"]) == (202, "running")
    assert asked(client, session, 2, "2").status_code == 409
    deadline = time.monotonic() + 120
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
    client = serve(idle_s=4.0, hold_s=0.2).client
    forgotten, used = opened(client), opened(client)
    deadline, number = time.monotonic() + 120, 0
    while client.sessions()["open"] == 2 and time.monotonic() < deadline:
        run(client, used, number := number + 1, "1")
        time.sleep(0.2)
    answer = asked(client, forgotten, 1, "1")
    assert (answer.status_code, answer.json()["error"]) == (404, "unknown_session")
    assert client.sessions()["open"] == 1
    client.wait_for(open=0)


def test_those_that_wait_and_are_forgotten_are_ended(serve):
    client = serve(settings(sessions=1), idle_s=4.0, hold_s=0.1).client
    held = opened(client)
    assert client.post("/v1/sessions", content=NOTHING).status_code == 202
    deadline = time.monotonic() + 120
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
        answer = running.result(60)
    assert (answer.status_code, answer.json()["error"]) == (404, "unknown_session")
    assert api.delete(session).status_code == 404


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
