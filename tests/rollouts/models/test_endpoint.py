"""The client against a real HTTP server that fails in all the ways that servers fail."""

import asyncio
import email.utils
import json
import logging
import socket
import sys
import time
from dataclasses import replace

import pytest

from rollouts.models import endpoint as endpoint_module
from rollouts.models import limiter as concurrency_module
from rollouts.models import replies as replies_module
from rollouts.models.connections import EndpointLimits, ServerTraits
from rollouts.models.contract import ContextLengthExceeded, ModelOutage, ModelUnavailable, QuestionRefused, Request
from rollouts.models.endpoint import Endpoint
from rollouts.models.replies import EndpointFailing, EndpointRefused
from rollouts.models.served_models import remote_fingerprint
from tests.support.fault_server import Reply, chat
from tests.support.stand_in_model import ModelStandIn

ASK = Request(messages=[{"role": "user", "content": "2 + 2?"}], temperature=0.5, top_p=0.9, max_tokens=8)


@pytest.fixture(autouse=True)
def short_delays(monkeypatch):
    monkeypatch.setattr(endpoint_module, "FIRST_DELAY_S", 0.02)


def client(server, **settings):
    names = [name for name in settings if name in ("concurrency", "timeout_s", "max_retries", "patience_s")]
    limits = EndpointLimits(**{"max_retries": 3, "patience_s": 5} | {name: settings.pop(name) for name in names})
    return Endpoint(server if isinstance(server, str) else server.url, "policy", "print", limits=limits, **settings)


async def complete(server, request=ASK, **settings):
    async with client(server, **settings) as endpoint:
        return await endpoint.complete(request), endpoint.counters


async def test_a_completion_and_its_counts(stand_in):
    server = stand_in(Reply(chat("four"), delay_s=0.05))
    completion, counters = await complete(server)
    assert (completion.text, completion.finish_reason) == ("four", "stop")
    assert (completion.prompt_tokens, completion.completion_tokens) == (7, 2)
    assert 0.05 <= completion.seconds < 60
    assert (counters.calls, counters.completed, counters.failed, counters.retries) == (1, 1, 0, 0)
    assert (counters.prompt_tokens, counters.completion_tokens) == (7, 2)


async def test_the_body_is_the_request_and_nothing_else(stand_in):
    server = stand_in(Reply(chat()))
    request = Request(ASK.messages, 0.5, 0.9, 8, stop=("</code>",), extra={"skip_special_tokens": False})
    await complete(server, request)
    await complete(server, request, traits=ServerTraits(vllm=True))
    await complete(server, ASK, traits=ServerTraits(vllm=True))
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
    assert completion.prompt_tokens == 0 and completion.completion_tokens == ASK.max_tokens  # at least what it wrote


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
    date, now = int(time.time()) + 3, time.time() - time.monotonic()  # dates have whole seconds
    value = email.utils.formatdate(date, usegmt=True) if as_date else "0.6"
    server = stand_in(Reply("slow down", 429, {"Retry-After": value}), Reply(chat()))
    async with client(server, concurrency=2) as endpoint:
        first = asyncio.create_task(endpoint.complete(ASK))
        while not endpoint.counters.backoffs:
            await asyncio.sleep(0.01)
        await asyncio.gather(first, endpoint.complete(ASK))
    assert len(server.times) == 3
    assert min(server.times[1:]) >= (date - now if as_date else server.times[0] + 0.6) - 0.02


async def test_a_retry_after_of_hours_is_not_waited_out(stand_in):
    start = time.monotonic()
    with pytest.raises(ModelOutage) as caught:
        await complete(stand_in(Reply("come back tomorrow", 429, {"Retry-After": "86400"})))
    assert caught.value.kind == "rate_limit"
    assert time.monotonic() - start < 60


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
    with pytest.raises(ModelOutage, match="after 4 attempts") as caught:
        await complete(server, patience_s=0.01)
    assert caught.value.kind == kind
    assert isinstance(caught.value, ModelUnavailable)
    assert len(server.bodies) == 5 and server.bodies[4]["max_tokens"] == 1  # is it the request, or is it all?


async def test_refused_connection():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        with pytest.raises(ModelOutage) as caught:
            await complete(url)
    assert caught.value.kind == "connection"


async def test_a_server_that_hangs(stand_in):
    server = stand_in(Reply(chat(), delay_s=600))
    start = time.monotonic()
    with pytest.raises(ModelOutage) as caught:
        await complete(server, timeout_s=0.2, max_retries=1)
    assert caught.value.kind == "timeout"
    assert time.monotonic() - start < 60


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
        with pytest.raises(ModelOutage) as caught:
            await asyncio.wait_for(complete(url, timeout_s=0.3, max_retries=0), 60)
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
        {"choices": [{"message": {"content": [{"type": "image", "image": "4"}]}}]},
        {"choices": [{"message": {"content": None, "tool_calls": [{"function": {"name": "x"}}]}}]},
        {"choices": [{"message": {"content": None, "tool_calls": [{"function": {"name": "x", "arguments": 4}}]}}]},
    ],
)
async def test_a_200_that_is_no_completion_is_retried_and_then_an_outage(stand_in, body):
    server = stand_in(Reply(body))
    with pytest.raises(ModelOutage) as caught:
        await complete(server, max_retries=2)
    assert caught.value.kind == "malformed" and len(server.bodies) == 4
    server = stand_in(*[Reply(body)] * 3, Reply(chat()))
    with pytest.raises(EndpointFailing, match="malformed after 3 attempts"):  # the smallest request is answered
        await complete(server, max_retries=2)
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
        (403, None, "give a key through api_key_env"),
        (401, "sk-secret", "the key was not accepted"),
        (400, None, "the request is not one it takes"),
        (422, None, "top_p must be"),
        (307, None, "redirects"),
    ],
)
async def test_refusals_are_clear_and_at_once(stand_in, status, key, words):
    server = stand_in(Reply({"error": {"message": "top_p must be at most 1"}}, status))
    with pytest.raises(EndpointRefused if status in (400, 422) else ModelOutage, match=words) as caught:
        await complete(server, api_key=key)
    assert caught.value.status == status
    assert isinstance(caught.value, ModelUnavailable)
    assert len(server.bodies) == 1 + (status == 403)  # is it what was asked, or the key?


async def test_an_unknown_model_is_told_what_is_served(stand_in):
    served = {"data": [{"id": "qwen"}, {"id": "llama"}]}
    with pytest.raises(ModelOutage, match="it serves: llama, qwen"):
        await complete(stand_in(Reply("no such model", 404), models=served))
    with pytest.raises(ModelOutage, match="the url may lack /v1"):
        await complete(stand_in(Reply("nothing here", 404)))


async def test_no_quota_is_not_retried(stand_in):
    server = stand_in(Reply({"error": {"code": "insufficient_quota"}}, 429))
    with pytest.raises(ModelOutage, match="no quota"):
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

    endpoint = Endpoint(start, "policy", "print", limits=EndpointLimits(max_retries=3))
    assert asked == []  # nothing is started before a call is made
    async with endpoint:
        replies = await asyncio.gather(*(endpoint.complete(ASK) for _ in range(4)))
        assert {reply.text for reply in replies} == {"one"}
        first.close()
        for kept in endpoint._here.clients:
            await kept._transport.aclose()  # a kept connection would outlive the listener
        assert (await endpoint.complete(ASK)).text == "two"
    assert asked == urls


async def test_a_server_that_cannot_be_started():
    def start():
        raise RuntimeError("the model server ended. Last lines of server.log: out of memory")

    with pytest.raises(ModelOutage, match="out of memory") as caught:
        await Endpoint(start, "policy", "print").complete(ASK)
    assert caught.value.kind == "server_lost"


@pytest.fixture
async def served():
    """Call it with `async answer(path, body) -> (status, JSON or text)`; it returns the url of a server of that."""
    servers, connections = [], []

    async def start(answer):
        async def serve(reader, writer):
            connections.append(writer)
            try:
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode()
                    size = next((line[15:] for line in head.split("\r\n") if line.lower().startswith("content-len")), 0)
                    body = json.loads(await reader.readexactly(int(size)) or "null")
                    status, said = await answer(head.split()[1], body)
                    data = (said if isinstance(said, str) else json.dumps(said)).encode()
                    writer.write(f"HTTP/1.1 {status} -\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
                    await writer.drain()
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        servers.append(await asyncio.start_server(serve, "127.0.0.1", 0))
        return f"http://127.0.0.1:{servers[-1].sockets[0].getsockname()[1]}/v1"

    yield start
    for server in servers:
        server.close()
    for writer in connections:
        writer.close()


def question(text, **settings):
    return Request(
        [{"role": "user", "content": text}], **{"temperature": 1.0, "top_p": 1.0, "max_tokens": 8} | settings
    )


def asked(body):
    return body["messages"][0]["content"]


async def gathered(endpoint, *texts):
    return await asyncio.gather(*(endpoint.complete(question(text)) for text in texts), return_exceptions=True)


async def test_every_try_has_an_id_of_its_own(stand_in):
    server = stand_in(*[Reply("busy", 500)] * 4, Reply(chat()))
    async with client(server, max_retries=1) as endpoint:
        with pytest.raises(ModelOutage):
            await endpoint.complete(question("2 + 2?", id="ab12"))
    async with endpoint:
        await endpoint.complete(question("2 + 2?", id="ab12"))
        await endpoint.complete(ASK)
    ids = [headers.get("X-Request-Id") for headers in server.headers]
    assert ids == ["ab12-1", "ab12-2", None, "ab12-3", "ab12-4", None]  # the third asks whether anything goes through
    assert all(server.bodies[n] == server.bodies[0] for n in (1, 3, 4)) and "ab12" not in json.dumps(server.bodies)
    assert question("2 + 2?", id="ab12") == question("2 + 2?")


async def test_an_outage_ends_all_calls_at_once(served):
    """One call goes through its retries; the 96 that wait, and those that come later, do not."""
    times = []

    async def answer(path, body):
        times.append(time.monotonic())
        return 500, "down"

    async with client(await served(answer), concurrency=4, max_retries=2) as endpoint:
        found = await gathered(endpoint, *(f"{n}?" for n in range(100)))
        tries = len(times)
        found += await gathered(endpoint, "one more?")
        assert len(times) == tries <= 4 * 3 + 1
        assert (endpoint.counters.failed, endpoint.counters.calls) == (101, 101)
        assert all(type(error) is ModelOutage for error in found)
        assert len({str(error) for error in found}) == 1 and len({id(error) for error in found}) == 101
        assert {error.kind for error in found} == {"server_error"}
        assert all(isinstance(error.__cause__, EndpointFailing) for error in found)
        assert "after 3 attempts" in str(found[0]) and "the server's log" in str(found[0])
    async with endpoint:  # closed and used again, it tries again
        await gathered(endpoint, "and now?")
    assert len(times) == tries + 4


async def test_a_pause_between_tries_is_not_waited_out_in_an_outage(served, monkeypatch):
    monkeypatch.setattr(endpoint_module, "FIRST_DELAY_S", 1000)
    monkeypatch.setattr(endpoint_module, "LONGEST_DELAY_S", 1000)
    tried = asyncio.Event()

    async def answer(path, body):
        if asked(body) == "refused":
            await tried.wait()
            await asyncio.sleep(0.1)
            return 401, "no key"
        tried.set()
        return 500, "busy"

    start = time.monotonic()
    async with client(await served(answer), concurrency=2) as endpoint:
        found = await gathered(endpoint, "pauses", "refused")
    assert [error.status for error in found] == [401, 401]
    assert time.monotonic() - start < 60


async def test_one_bad_request_is_no_outage(served):
    async def answer(path, body):
        await asyncio.sleep(0.01)
        return {"crash": (500, "oops"), "refused": (400, "no")}.get(asked(body), (200, chat()))

    async with client(await served(answer), concurrency=3) as endpoint:
        texts = [*(f"{n}?" for n in range(20)), "crash", "refused", *(f"{n}?" for n in range(60))]
        found = await gathered(endpoint, *texts)
    kinds = [type(outcome).__name__ for outcome in found]
    assert (kinds[20], kinds[21]) == ("EndpointFailing", "EndpointRefused")
    assert kinds.count("Completion") == 80


async def test_a_bad_request_that_is_asked_alone_is_no_outage(served):
    """As it is when all others are done: in every run of a stage with one such question."""

    async def answer(path, body):
        return (500, "oops") if asked(body) == "crash" else (200, chat())

    async with client(await served(answer), max_retries=1) as endpoint:
        assert [type(error) for error in await gathered(endpoint, "crash")] == [EndpointFailing]
        assert (await gathered(endpoint, "good"))[0].text == "4"


async def test_a_call_that_comes_through_ends_an_outage(served):
    over = asyncio.Event()

    async def answer(path, body):
        if asked(body) == "slow":
            await over.wait()
        return (200, chat()) if asked(body) in ("slow", "good") else (500, "busy")

    async with client(await served(answer), concurrency=2, max_retries=0) as endpoint:
        slow = asyncio.create_task(endpoint.complete(question("slow")))
        await asyncio.sleep(0.05)
        assert type((await gathered(endpoint, "bad"))[0]) is ModelOutage
        assert type((await gathered(endpoint, "good"))[0]) is ModelOutage
        over.set()
        assert (await slow).text == "4"
        assert (await gathered(endpoint, "good"))[0].text == "4"


FLAGGED = {"error": {"message": "Your input was flagged by moderation", "code": 403}}


@pytest.mark.parametrize(
    "reply", [(400, "extra_body: not permitted"), (403, FLAGGED), (400, {"code": "content_filter"})]
)
async def test_an_endpoint_that_refuses_everything(served, reply):
    async def answer(path, body):
        return (200, chat()) if asked(body) == "good" else reply

    url = await served(answer)
    async with client(url, max_retries=0) as endpoint:
        found = [(await gathered(endpoint, text))[0] for text in ("1?", "1?", "1?", "2?", "3?", "4?")]
        assert [type(error) for error in found] == [EndpointRefused] * 4 + [ModelOutage] * 2
        assert type(found[4].__cause__) is EndpointRefused
    alone = EndpointRefused if reply[1] == "extra_body: not permitted" else QuestionRefused
    async with client(url, max_retries=0) as endpoint:
        found = await gathered(endpoint, "good")
        found += [(await gathered(endpoint, f"{n}?"))[0] for n in range(5)]
    assert [type(error) for error in found[1:]] == [alone] * 5


@pytest.mark.parametrize("reply", [(403, FLAGGED), (403, "<html>Attention required</html>"), (451, "no")])
async def test_a_question_that_is_refused_alone_is_an_outcome_of_its_own(served, reply):
    """Also the first one that is asked: the smallest request tells it from a key that is not accepted."""

    async def answer(path, body):
        return reply if asked(body) == "bad" else (200, chat())

    async with client(await served(answer)) as endpoint:
        found = await gathered(endpoint, "bad") + await gathered(endpoint, "good", "bad", "good")
    assert [type(outcome).__name__ for outcome in found] == ["QuestionRefused", "Completion"] * 2


@pytest.mark.parametrize(
    "reply, kind",
    [
        ((200, "<html>We are being maintained</html>"), "malformed"),
        ((200, {"error": {"code": 503, "message": "no capacity"}}), "server_error"),
        ((200, {"object": "error", "message": "CUDA error", "code": 500}), "server_error"),
        ((200, {"detail": "Internal"}), "server_error"),
        ((413, "<html>413 Request Entity Too Large</html>"), "too_large"),
    ],
)
async def test_a_server_that_stops_answering_is_an_outage_and_no_outcome(served, reply, kind):
    answered = 0

    async def answer(path, body):
        nonlocal answered
        answered += path != "/metrics"
        return (200, chat()) if answered <= 30 else reply

    async with client(await served(answer), concurrency=4, max_retries=1) as endpoint:
        found = await gathered(endpoint, *(f"{n}?" for n in range(60)))
    assert [type(outcome).__name__ for outcome in found].count("Completion") == 30
    failed = [outcome for outcome in found if isinstance(outcome, Exception)]
    assert all(isinstance(error, ModelUnavailable) for error in failed)
    assert {error.kind for error in failed} == {kind} and type(failed[-1]) is ModelOutage


async def test_one_request_that_a_proxy_does_not_take_is_no_outage(served):
    async def answer(path, body):
        return (413, "too large") if asked(body) == "image" else (200, chat())

    async with client(await served(answer), max_retries=1) as endpoint:
        found = await gathered(endpoint, "image") + await gathered(endpoint, "good")
    assert type(found[0]) is EndpointFailing and found[0].kind == "too_large" and found[1].text == "4"


async def test_max_tokens_beyond_the_context_stops_and_says_both(stand_in):
    said = "This model's maximum context length is 2048 tokens. However, you requested 5000 tokens"
    long = replace(ASK, max_tokens=4096)
    for models in (None, {"data": [{"id": "policy", "max_model_len": 2048}]}):
        server = stand_in(Reply({"error": {"message": said if models is None else "context length exceeded"}}, 400),
                          models=models)  # fmt: skip
        with pytest.raises(ModelOutage, match=r"max_tokens is 4096, .* may have 2048") as caught:
            await complete(server, long)
        assert caught.value.kind == "max_tokens" and len(server.bodies) == 1
    with pytest.raises(ContextLengthExceeded) as caught:
        await complete(server, ASK)
    assert caught.value.limit == 2048


async def test_a_finish_reason_that_is_not_known_stops_and_says_how_to_go_on(stand_in):
    server = stand_in(Reply(chat("4", "ran_out_of_steam")))
    with pytest.raises(ModelOutage, match=r"'ran_out_of_steam'.*finish_reasons: \{ran_out_of_steam: stop") as caught:
        await complete(server)
    assert caught.value.kind == "finish_reason" and len(server.bodies) == 1
    traits = ServerTraits(finish_reasons={"ran_out_of_steam": "length"})
    completion, _ = await complete(server, traits=traits)
    assert completion.finish_reason == "length"


async def test_windows_of_a_minute_are_waited_for(served, monkeypatch):
    """3 requests in each window and no Retry-After, with a window of 0.4 s for a minute."""
    windows, start = {}, time.monotonic()

    async def answer(path, body):
        if path == "/metrics":
            return 404, "not here"
        window = int((time.monotonic() - start) / 0.4)
        windows[window] = windows.get(window, 0) + 1
        return (200, chat()) if windows[window] <= 3 else (429, {"error": {"message": "3 requests per window"}})

    async with client(await served(answer), concurrency=8, max_retries=1, patience_s=60) as endpoint:
        found = await gathered(endpoint, *(f"{n}?" for n in range(12)))
    assert [outcome.text for outcome in found] == ["4"] * 12


async def test_patience_ends(stand_in):
    server = stand_in(Reply("slow down", 429))
    with pytest.raises(ModelOutage, match="rate_limit after"):
        await complete(server, max_retries=0, patience_s=0.2)
    assert len(server.bodies) > 2
    server = stand_in(Reply("Request too large: Limit 6000 tokens per minute, requested 7000", 429))
    with pytest.raises(ModelOutage, match="too_large after 2"):  # no window ever takes it
        await complete(server, max_retries=1, patience_s=60)


async def test_tokens_that_are_not_counted_are_estimated_and_that_is_said_once(stand_in, caplog):
    reply = chat("one two three")
    del reply["usage"]
    async with client(stand_in(Reply(reply))) as endpoint:
        replies = [await endpoint.complete(ASK) for _ in range(3)]
    assert {completion.completion_tokens for completion in replies} == {7} and endpoint.counters.estimated == 3
    assert caplog.text.count("does not count the tokens") == 1


@pytest.mark.parametrize(
    "variable, value, words",
    [
        ("ALL_PROXY", "socks5://user:pass-word@127.0.0.1:1080", r"ALL_PROXY names a SOCKS proxy.*httpx\[socks\]"),
        ("ALL_PROXY", "gopher://user:pass-word@127.0.0.1:1080", "ALL_PROXY names a proxy whose url cannot be used"),
        ("ALL_PROXY", "http://user:pass-word@127.0.0.1:99999", "names a proxy whose url cannot be used"),
        ("SSL_CERT_FILE", "/nowhere/pass-word.pem", "SSL_CERT_FILE names cannot be read"),
    ],
)
async def test_what_the_environment_names_wrongly_is_said(stand_in, monkeypatch, variable, value, words):
    if variable == "ALL_PROXY" and value.startswith("socks5"):
        monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv(variable, value)
    with pytest.raises(ModelOutage, match=words) as caught:
        await complete("http://example.invalid/v1", max_retries=0)
    assert variable == "SSL_CERT_FILE" or "pass-word" not in str(caught.value)
    with pytest.raises(ModelUnavailable, match=words):
        remote_fingerprint("http://example.invalid/v1", "policy")


async def test_some_refused_before_the_first_is_answered_are_no_outage(served):
    async def answer(path, body):
        if asked(body).startswith("good"):
            await asyncio.sleep(0.1)
            return 200, chat()
        return 400, "no"

    async with client(await served(answer)) as endpoint:
        found = await gathered(endpoint, "good 0", *(f"bad {n}" for n in range(6)), "good 1")
    assert [type(outcome).__name__ for outcome in found] == ["Completion", *["EndpointRefused"] * 6, "Completion"]


@pytest.mark.parametrize(
    "body", [chat("x" * 3100), "[" * 100_000, json.dumps(chat("half a pair: \ud83d")), chat("4", ["stop"])]
)
async def test_more_that_is_malformed(stand_in, body):
    with pytest.raises(ModelOutage) as caught:
        await complete(stand_in(Reply(body)), max_retries=0)
    assert caught.value.kind == "malformed"


async def test_a_text_as_long_as_max_tokens_allows_is_none(stand_in):
    completion, _ = await complete(stand_in(Reply(chat("x" * 3000))))
    assert len(completion.text) == 3000


@pytest.mark.parametrize("status", [200, 500])
async def test_a_body_without_end_is_not_read(monkeypatch, status):
    monkeypatch.setattr(replies_module, "LARGEST_REPLY", 2**20)
    sent = 0

    async def pour(reader, writer):
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} -\r\nContent-Length: {10**12}\r\n\r\n".encode())
        try:
            while True:
                writer.write(b" " * 2**16)
                sent += 2**16
                await writer.drain()
        except OSError:
            writer.close()

    server = await asyncio.start_server(pour, "127.0.0.1", 0)
    try:
        with pytest.raises(ModelOutage):
            await complete(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", max_retries=0)
    finally:
        server.close()
    assert sent < 64 * 2**20  # what the sockets hold, not 10**12


async def test_an_overloaded_server_is_asked_for_less(stand_in):
    server = stand_in(Reply("slow down", 429), Reply(chat()))
    async with client(server, concurrency=8) as endpoint:
        assert endpoint.limit == 8
        await endpoint.complete(ASK)
        assert (endpoint.limit, endpoint.counters.backoffs) == (4, 1)
        for _ in range(5):
            await endpoint.complete(ASK)
        assert endpoint.limit == 5


async def test_a_server_that_queues_is_asked_for_what_it_can_run(served, monkeypatch):
    """One that runs 4 at once, as vLLM with max_num_seqs 4 does, and one with room for all."""
    monkeypatch.setattr(concurrency_module, "POLL_S", 0.02)

    async def run(slots):
        running, at_once, polls, paths, limits = asyncio.Semaphore(slots), 0, 0, set(), []

        def has_been_watched() -> bool:
            return endpoint.limit < 16 if slots < 16 else polls >= 3

        async def answer(path, body):
            nonlocal at_once, polls
            paths.add(path)
            polls += path == "/metrics"
            limits.append(endpoint.limit)
            if path == "/metrics":
                waiting, busy = max(0, at_once - slots), min(at_once, slots)
                return 200, f'vllm:num_requests_running {busy}.0\nvllm:num_requests_waiting{{a="b"}} {waiting}.0\n'
            at_once += 1
            async with running:
                while not has_been_watched():  # nothing comes to its end before, however rarely it is looked at
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.01)
            at_once -= 1
            return 200, chat()

        async with client(await served(answer), concurrency=16) as endpoint:
            async with asyncio.timeout(120):
                await gathered(endpoint, *(f"{n}?" for n in range(120)))
        assert paths == {"/metrics", "/v1/chat/completions"}
        return min(limits), endpoint.counters.completed

    assert await run(4) == (5, 120)
    assert await run(16) == (16, 120)


async def test_a_server_without_gauges_is_asked_for_them_once(served, monkeypatch):
    monkeypatch.setattr(concurrency_module, "POLL_S", 0.01)
    paths = []

    async def answer(path, body):
        paths.append(path)
        await asyncio.sleep(0.03)
        return (404, "not here") if path == "/metrics" else (200, chat())

    async with client(await served(answer)) as endpoint:
        for n in range(5):
            await gathered(endpoint, f"{n}?")
    assert paths.count("/metrics") == 1


async def test_faults_of_all_kinds_leave_every_reply_as_it_would_have_been(tmp_path):
    """Passing faults are retried to the reply of an undisturbed server; lasting ones end as what they are."""
    lasting = {"context_length": 0.08, "malformed": 0.08, "cut": 0.08}
    passing = dict.fromkeys(("500", "503", "reset", "hang", "truncated", "empty_choices", "big"), 0.08)
    calls = [replace(question(f"What is {n} + {n}?", id=f"k{n}"), max_tokens=96) for n in range(80)]

    async def outcomes(**faults):
        with ModelStandIn(tmp_path, faults=faults) as server:
            async with Endpoint(server.url, "stand-in", "print", limits=EndpointLimits(16, 3)) as endpoint:
                found = await asyncio.gather(*map(endpoint.complete, calls), return_exceptions=True)
            fault = {line["key"]: line["fault"] for line in server.events()[::-1] if line["fault"]}
            return found, fault, endpoint.counters, server.asked()

    undisturbed, *_ = await outcomes()
    found, faults, counters, asked_for = await outcomes(**lasting, **passing)
    assert set(faults.values()) == {*lasting, *passing}
    for call, outcome, expected in zip(calls, found, undisturbed, strict=True):
        fault = faults.get(call.id, "")
        if fault in ("context_length", "malformed"):
            assert type(outcome) is {"malformed": EndpointFailing, "context_length": ContextLengthExceeded}[fault]
        elif fault == "cut":
            assert (outcome.finish_reason, outcome.completion_tokens) == ("length", 1)
        else:
            assert (outcome.text, outcome.finish_reason) == (expected.text, "stop")
    assert sum(asked_for.values()) >= 80 + 80 + counters.retries  # and the smallest requests


async def test_nothing_is_left_behind(served):
    over = asyncio.Event()

    async def answer(path, body):
        await over.wait()
        return 200, chat()

    url, before = await served(answer), asyncio.all_tasks()
    endpoint = client(url, concurrency=2)
    cancelled = [asyncio.create_task(endpoint.complete(question(f"{n}?"))) for n in range(4)]
    await asyncio.sleep(0.05)
    for call in cancelled:
        call.cancel()
    await asyncio.gather(*cancelled, return_exceptions=True)
    assert (endpoint.counters.calls, endpoint.counters.failed, endpoint._here.limiter.in_use) == (4, 4, 0)
    closed = [asyncio.create_task(endpoint.complete(question(f"{n}?"))) for n in range(4)]
    await asyncio.sleep(0.05)
    await endpoint.aclose()
    found = await asyncio.wait_for(asyncio.gather(*closed, return_exceptions=True), 60)
    assert {(type(error), error.kind) for error in found} == {(EndpointFailing, "closed")}
    ours = {task for task in asyncio.all_tasks() - before if "serve" not in repr(task.get_coro())}
    assert not ours
    over.set()


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
