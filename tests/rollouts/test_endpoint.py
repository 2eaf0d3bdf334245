"""The client against a real HTTP server that fails in all the ways that servers fail."""

import asyncio
import email.utils
import json
import logging
import socket
import time

import pytest
from stand_in import Reply, chat

from rollouts import endpoint as endpoint_module
from rollouts.endpoint import Endpoint, remote_fingerprint
from rollouts.model import ContextLengthExceeded, MalformedReply, ModelUnavailable, Request
from rollouts.replies import EndpointFailing, EndpointRefused

ASK = Request(messages=[{"role": "user", "content": "2 + 2?"}], temperature=0.5, top_p=0.9, max_tokens=8)


@pytest.fixture(autouse=True)
def short_delays(monkeypatch):
    monkeypatch.setattr(endpoint_module, "FIRST_DELAY_S", 0.02)


def client(server, **settings):
    return Endpoint(
        server if isinstance(server, str) else server.url, "policy", "print", **{"max_retries": 3} | settings
    )


async def complete(server, request=ASK, **settings):
    async with client(server, **settings) as endpoint:
        return await endpoint.complete(request), endpoint.counters


async def test_a_completion_and_its_counts(stand_in):
    server = stand_in(Reply(chat("four"), delay_s=0.05))
    completion, counters = await complete(server)
    assert (completion.text, completion.finish_reason) == ("four", "stop")
    assert (completion.prompt_tokens, completion.completion_tokens) == (7, 2)
    assert 0.05 <= completion.seconds < 2
    assert (counters.calls, counters.completed, counters.failed, counters.retries) == (1, 1, 0, 0)
    assert (counters.prompt_tokens, counters.completion_tokens) == (7, 2)


async def test_the_body_is_the_request_and_nothing_else(stand_in):
    server = stand_in(Reply(chat()))
    request = Request(ASK.messages, 0.5, 0.9, 8, stop=("</code>",), extra={"skip_special_tokens": False})
    await complete(server, request)
    await complete(server, request, vllm=True)
    await complete(server, ASK, vllm=True)
    expected = {"model": "policy", "messages": ASK.messages, "temperature": 0.5, "top_p": 0.9, "max_tokens": 8}
    plain = expected | {"stop": ["</code>"], "skip_special_tokens": False}
    assert server.bodies == [plain, plain | {"include_stop_str_in_output": True}, expected]


async def test_native_calls_and_missing_usage(stand_in):
    call = {"id": "x", "type": "function", "function": {"name": "search", "arguments": '{"query": "Oslo"}'}}
    reply = chat(None, "tool_calls", tool_calls=[call])
    del reply["usage"]
    completion, _ = await complete(stand_in(Reply(reply)))
    assert completion.text == ""
    assert completion.tool_calls == [{"name": "search", "arguments": '{"query": "Oslo"}'}]
    assert (completion.prompt_tokens, completion.completion_tokens) == (0, 0)


async def test_a_cut_reply_is_a_completion(stand_in):
    completion, counters = await complete(stand_in(Reply(chat("1, 2, 3", "length"))))
    assert completion.finish_reason == "length"
    assert counters.retries == 0


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
async def test_passing_failures_are_retried(stand_in, status):
    server = stand_in(Reply("busy", status), Reply("busy", status), Reply(chat()))
    completion, counters = await complete(server)
    assert completion.text == "4"
    assert (counters.retries, len(server.bodies)) == (2, 3)
    assert server.bodies[0] == server.bodies[2]


@pytest.mark.parametrize("as_date", [False, True])
async def test_retry_after_is_waited_out_by_all_calls(stand_in, as_date):
    value = email.utils.formatdate(time.time() + 2, usegmt=True) if as_date else "0.6"
    server = stand_in(Reply("slow down", 429, {"Retry-After": value}), Reply(chat()))
    async with client(server, concurrency=2) as endpoint:
        first = asyncio.create_task(endpoint.complete(ASK))
        await asyncio.sleep(0.2)
        await asyncio.gather(first, endpoint.complete(ASK))
    assert len(server.times) == 3
    assert min(server.times[1:]) - server.times[0] >= 0.58  # a date has whole seconds, so this holds for both


async def test_a_retry_after_of_hours_is_not_waited_out(stand_in):
    start = time.monotonic()
    with pytest.raises(EndpointFailing) as caught:
        await complete(stand_in(Reply("come back tomorrow", 429, {"Retry-After": "86400"})))
    assert caught.value.kind == "rate_limit"
    assert time.monotonic() - start < 2


@pytest.mark.parametrize(
    "reply, kind",
    [
        (Reply("oops", 500), "server_error"),
        (Reply("slow down", 429), "rate_limit"),
        (Reply(drop=True), "connection"),
        (Reply(chat("", "abort")), "aborted"),
    ],
)
async def test_lasting_failures_say_their_kind(stand_in, reply, kind):
    server = stand_in(reply)
    with pytest.raises(EndpointFailing, match="after 4 attempts") as caught:
        await complete(server)
    assert caught.value.kind == kind
    assert isinstance(caught.value, ModelUnavailable)
    assert len(server.bodies) == 4


async def test_refused_connection():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        with pytest.raises(EndpointFailing) as caught:
            await complete(url)
    assert caught.value.kind == "connection"


async def test_a_server_that_hangs(stand_in):
    server = stand_in(Reply(chat(), delay_s=5))
    start = time.monotonic()
    with pytest.raises(EndpointFailing) as caught:
        await complete(server, timeout_s=0.2, max_retries=1)
    assert caught.value.kind == "timeout"
    assert time.monotonic() - start < 2


async def test_a_server_that_trickles_is_not_waited_for():
    async def trickle(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        try:
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)
        except OSError:
            pass

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        with pytest.raises(EndpointFailing) as caught:
            await asyncio.wait_for(complete(url, timeout_s=0.3, max_retries=0), 5)
    finally:
        server.close()
    assert caught.value.kind == "timeout"


whole = json.dumps(chat())


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>gateway</html>",
        whole[: len(whole) // 2],
        "[]",
        "null",
        {"choices": []},
        {"choices": None},
        {"error": {"message": "upstream"}},
        {"choices": [{"finish_reason": "stop"}]},
        {"choices": [{"message": None, "finish_reason": "stop"}]},
        {"choices": [{"message": {"content": [{"type": "text", "text": "4"}]}}]},
        {"choices": [{"message": {"content": None, "tool_calls": [{"function": {"name": "x"}}]}}]},
        {"choices": [{"message": {"content": None, "tool_calls": [{"function": {"name": "x", "arguments": {}}}]}}]},
    ],
)
async def test_a_200_that_is_no_completion_is_retried_and_then_malformed(stand_in, body):
    server = stand_in(Reply(body))
    with pytest.raises(MalformedReply):
        await complete(server, max_retries=2)
    assert len(server.bodies) == 3
    completion, _ = await complete(stand_in(Reply(body), Reply(chat())))
    assert completion.text == "4"


@pytest.mark.parametrize(
    "said",
    [
        {"error": {"message": "This model's maximum context length is 2048 tokens. However, ...", "code": 400}},
        {"error": {"message": "too long", "code": "context_length_exceeded"}},
        {"error": {"message": "the request exceeds the available context size", "type": "exceed_context_size_error"}},
        {"message": "The input (9000 tokens) is longer than the model's context length (4096 tokens)."},
        {"message": "The decoder prompt (length 3000) is longer than the maximum model length of 2048."},
    ],
)
async def test_a_prompt_that_is_too_long_is_an_outcome_of_its_own(stand_in, said):
    server = stand_in(Reply(said, 400))
    with pytest.raises(ContextLengthExceeded):
        await complete(server)
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "status, key, words",
    [
        (401, None, "give a key through api_key_env"),
        (401, "sk-secret", "the key was not accepted"),
        (400, None, "the request is not one it takes"),
        (422, None, "top_p must be"),
        (307, None, "redirects"),
    ],
)
async def test_refusals_are_clear_and_at_once(stand_in, status, key, words):
    server = stand_in(Reply({"error": {"message": "top_p must be at most 1"}}, status))
    with pytest.raises(EndpointRefused, match=words) as caught:
        await complete(server, api_key=key)
    assert caught.value.status == status
    assert isinstance(caught.value, ModelUnavailable)
    assert len(server.bodies) == 1


async def test_an_unknown_model_is_told_what_is_served(stand_in):
    served = {"data": [{"id": "qwen"}, {"id": "llama"}]}
    with pytest.raises(EndpointRefused, match="it serves: llama, qwen"):
        await complete(stand_in(Reply("no such model", 404), models=served))
    with pytest.raises(EndpointRefused, match="the url may lack /v1"):
        await complete(stand_in(Reply("nothing here", 404)))


async def test_no_quota_is_not_retried(stand_in):
    server = stand_in(Reply({"error": {"code": "insufficient_quota"}}, 429))
    with pytest.raises(EndpointRefused, match="no quota"):
        await complete(server)
    assert len(server.bodies) == 1


async def test_at_most_so_many_in_flight(stand_in):
    server = stand_in(Reply(chat(), delay_s=0.05))
    async with client(server, concurrency=3) as endpoint:
        await asyncio.gather(*(endpoint.complete(ASK) for _ in range(12)))
    assert server.most_at_once == 3


def test_one_endpoint_in_several_event_loops(stand_in):
    endpoint = client(stand_in(Reply(chat())))
    for _ in range(2):
        assert asyncio.run(endpoint.complete(ASK)).text == "4"
    assert endpoint.counters.completed == 2


async def test_the_key_is_sent_and_never_logged(stand_in, caplog):
    caplog.set_level(logging.DEBUG)
    server = stand_in(Reply("busy", 500), Reply(chat()))
    _, counters = await complete(server, api_key="sk-secret")
    assert server.headers[0]["Authorization"] == "Bearer sk-secret"
    assert counters.retries == 1
    assert "sk-secret" not in caplog.text
    assert "sk-secret" not in repr(client(server, api_key="sk-secret"))


async def test_the_server_is_asked_for_again_when_it_has_died(stand_in):
    first, second = stand_in(Reply(chat("one"))), stand_in(Reply(chat("two")))
    urls = [first.url, second.url]
    asked = []

    def start():
        asked.append(urls[len(asked)])
        return asked[-1]

    endpoint = Endpoint(start, "policy", "print", max_retries=3)
    assert asked == []  # nothing is started before a call is made
    async with endpoint:
        replies = await asyncio.gather(*(endpoint.complete(ASK) for _ in range(4)))
        assert {reply.text for reply in replies} == {"one"}
        first.close()
        endpoint._client = type(endpoint._client)()  # a kept connection would outlive the listener
        assert (await endpoint.complete(ASK)).text == "two"
    assert asked == urls


async def test_a_server_that_cannot_be_started():
    def start():
        raise RuntimeError("the model server ended. Last lines of server.log: out of memory")

    with pytest.raises(EndpointFailing, match="out of memory") as caught:
        await Endpoint(start, "policy", "print").complete(ASK)
    assert caught.value.kind == "server_lost"


def test_remote_fingerprint(stand_in):
    def models(root):
        return {"data": [{"id": "policy", "root": root, "created": time.time_ns(), "max_model_len": 9}]}

    one, again, other = (stand_in(Reply(), models=models(root)).url for root in ("qwen/a", "qwen/a", "qwen/b"))
    assert remote_fingerprint(one, "policy") == remote_fingerprint(again, "policy")
    assert remote_fingerprint(one, "policy") != remote_fingerprint(other, "policy")
    assert remote_fingerprint(one, "policy", "r1") == remote_fingerprint(other, "policy", "r1")
    assert remote_fingerprint(one, "policy", "r1") != remote_fingerprint(one, "policy", "r2")
    unlisted = stand_in(Reply()).url
    assert remote_fingerprint(unlisted, "policy") != remote_fingerprint(unlisted, "teacher")
    with pytest.raises(ModelUnavailable):
        remote_fingerprint("http://127.0.0.1:9/v1", "policy")
