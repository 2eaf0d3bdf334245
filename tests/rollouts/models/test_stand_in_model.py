"""The stand-in server keeps its word: the same reply for the same key, faults as asked for, everything in the log."""

import socket
import time
from collections import Counter
from types import SimpleNamespace

import httpx
import pytest

from rollouts.dialects.plain_tags import DIALECT
from tests.support.stand_in_model import LASTING, PASSING, ModelStandIn, Server

PYTHON = SimpleNamespace(
    name="python", description="Runs Python.", parameters={"properties": {"code": {"description": "code"}}}
)


def ask(client, key, *turns, tools=(), timeout=60, **more):
    messages = [{"role": "system", "content": DIALECT.instructions(tools)}]
    messages += [{"role": ("user", "assistant")[n % 2], "content": turn} for n, turn in enumerate(turns)]
    body = {"model": "stand-in", "messages": messages, "max_tokens": 96} | more
    return client.post("/chat/completions", json=body, headers={"X-Request-Id": f"{key}-1"} if key else {},
                       timeout=timeout)  # fmt: skip


def said(response):
    return response.json()["choices"][0]["message"]["content"]


def test_replies_depend_on_the_key_alone_and_survive_a_kill(tmp_path):
    keys = [f"k{n}" for n in range(40)]
    with ModelStandIn(tmp_path) as server:
        with httpx.Client(base_url=server.url) as client:
            assert client.get("/models").json()["data"][0]["root"] == "stand-in-weights"
            first = [said(ask(client, key, "What is 3 + 4?")) for key in keys]
            called = [said(ask(client, key, "What is 3 + 4?", tools=[PYTHON])) for key in keys]
            turns = ("What is 3 + 4?", "<python>\nprint(3 + 4)\n</python>", "<result>\n7\n</result>")
            told = [said(ask(client, key, *turns, tools=[PYTHON])) for key in keys]
            assert said(ask(client, "", "What is 3 + 4?")) == said(ask(client, "", "What is 3 + 4?"))
            cut = ask(client, "k", "What is 3 + 4?", max_tokens=2).json()
        url = server.url
        server.restart()
        assert server.url == url
        with httpx.Client(base_url=url) as client:
            assert [said(ask(client, key, "What is 3 + 4?")) for key in keys] == first
        asked = server.asked()
        deadline = time.monotonic() + 5
        while sum(map(len, (answered := server.answered()).values())) < asked.total() and time.monotonic() < deadline:
            time.sleep(0.01)  # the client has the last reply before the log says so
    assert set(Counter(DIALECT.parse(text, "stop", []).answer for text in first)) == {"7", "8"}
    calls = [DIALECT.parse(text, "stop", [PYTHON]).tool_calls for text in called]
    assert 25 <= sum(map(bool, calls)) < 40
    assert {call[0].arguments for call in calls if call} == {'{"code": "print(3 + 4)"}'}
    assert Counter(DIALECT.parse(text, "stop", [PYTHON]).answer for text in told)["7"] >= 30
    assert (cut["choices"][0]["finish_reason"], cut["usage"]["completion_tokens"]) == ("length", 2)
    assert {key: asked[key] for key in keys} == dict.fromkeys(keys, 4) == {key: len(answered[key]) for key in keys}


def outcome(client, key, timeout):
    try:
        response = ask(client, key, "What is 3 + 4?", timeout=timeout)
        choice = response.json()["choices"][0]
        return "long" if len(choice["message"]["content"]) > 10**5 else choice["finish_reason"]
    except httpx.TimeoutException:
        return "timeout"
    except httpx.TransportError as error:
        return type(error).__name__
    except (ValueError, IndexError):
        return "no completion"
    except KeyError:
        return response.status_code


EXPECTED = {"429": 429, "500": 500, "503": 503, "reset": "ReadError", "hang": "timeout", "truncated": "no completion",
            "empty_choices": "no completion", "big": "long", "context_length": 400, "malformed": "no completion",
            "cut": "length", "wrong_model": 404}  # fmt: skip


def test_faults_hit_as_often_as_they_should(tmp_path):
    """Every passing fault passes after one or two tries; a lasting one stays."""
    faults = dict.fromkeys((*PASSING, *LASTING), 0.09) | {"hang": 0.008}
    keys = [f"k{n}" for n in range(80)]
    with ModelStandIn(tmp_path, faults=faults) as server:
        hanging = {key for key in keys if Server(tmp_path / "unused.jsonl", 0, faults).fault(key) == "hang"}
        with httpx.Client(base_url=server.url) as client:
            # only a reply that never comes may depend on the clock
            outcomes = {key: [outcome(client, key, 3 if key in hanging else 60) for _ in range(4)] for key in keys}
        names = {line["key"]: line["fault"] for line in server.events()[::-1] if line["fault"]}
    assert set(names) == set(keys) and set(names.values()) == set(EXPECTED)
    for key, found in outcomes.items():
        fault = EXPECTED[names[key]]
        allowed = [[fault] * 4] if names[key] in LASTING else [[fault, *["stop"] * 3], [fault, fault, "stop", "stop"]]
        assert found in allowed


@pytest.mark.parametrize("after", [0, 3])
def test_it_goes_down_for_ever(tmp_path, after):
    with ModelStandIn(tmp_path, faults={"down_after": after}) as server:
        with httpx.Client(base_url=server.url) as client:
            statuses = [ask(client, f"k{n}", "What is 3 + 4?").status_code for n in range(5)]
            assert client.get("/models").status_code == 503
        assert statuses == [200] * after + [503] * (5 - after)
        assert server.asked().total() == 5
        port = server.port
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        pass
