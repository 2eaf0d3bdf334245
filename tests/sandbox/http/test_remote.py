"""The client of sandbox servers: what fails, lies or is slow, and is never the model's mistake."""

import asyncio
import datetime
import gzip
import io
import json
import logging
import time
from ipaddress import ip_address

import pytest
from PIL import Image

from records.faults import ToolInfrastructureError
from sandbox import LocalSandbox, SandboxUnavailable, build_sandbox
from sandbox.contract import CellResult
from sandbox.description import About
from sandbox.http import fleet, remote, remote_session, wire
from sandbox.http.remote import RemoteSandbox, check_servers
from tests.support.sandbox_servers import ABOUT, LIBRARIES, TOKEN, Liar, ServerProcess, ThreadServer, Wire, settings

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def token(monkeypatch):
    monkeypatch.setenv("TOUCHSTONE_SANDBOX_TOKEN", TOKEN)


@pytest.fixture
def start():
    """Call it with a maker of something that stops; it returns what was made."""
    running = []

    def started(what, *arguments, **more):
        running.append(what(*arguments, **more))
        return running[-1]

    yield started
    for one in reversed(running):
        one.stop()


@pytest.fixture
def quickly(monkeypatch):
    """A client without much patience."""
    monkeypatch.setattr(remote, "PATIENCE_S", 1.5)
    monkeypatch.setattr(fleet, "FIRST_REST_S", 0.3)


def blob(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


# At first use


def test_a_recipe_that_names_servers_gets_them():
    assert isinstance(build_sandbox(settings(NOWHERE)), RemoteSandbox)


@pytest.mark.parametrize("given", [None, "", "short", "a token with spaces"])
def test_without_a_token_it_says_what_to_do(monkeypatch, given):
    monkeypatch.delenv("TOUCHSTONE_SANDBOX_TOKEN")
    if given is not None:
        monkeypatch.setenv("TOUCHSTONE_SANDBOX_TOKEN", given)
    with pytest.raises(SandboxUnavailable, match=r"TOUCHSTONE_SANDBOX_TOKEN (is not set|needs).*secrets.token_urlsafe"):
        check_servers(settings(NOWHERE))


def test_a_refused_token_says_so(start, monkeypatch):
    url = start(ThreadServer, settings()).url
    monkeypatch.setenv("TOUCHSTONE_SANDBOX_TOKEN", "another-token-of-the-tests")
    with pytest.raises(SandboxUnavailable, match=f"{url}: the token was refused; TOUCHSTONE_SANDBOX_TOKEN has to be"):
        check_servers(settings(url))


async def test_a_server_that_is_not_there_says_so(caplog):
    with pytest.raises(SandboxUnavailable, match=r"no server .* answers \(http://127.0.0.1:1: .*ConnectError.*serve"):
        await RemoteSandbox(settings(NOWHERE)).open()


@pytest.mark.parametrize(
    "url", ["", "nonsense", "ftp://x", "http://", "http://a:b@c", "http://x/?y", "http://x/#y", "http://a\0b"]
)
def test_a_url_that_is_none_is_named(url):
    with pytest.raises(SandboxUnavailable, match="URL"):
        RemoteSandbox(settings(url))


@pytest.mark.parametrize(
    "answer",
    [
        (200, {"Content-Type": "text/html"}, b"<html>welcome</html>"),
        (404, {}, b"not here"),
        (302, {"Location": "http://127.0.0.1:1/"}, b""),
        (200, {"Content-Type": "application/json"}, b"[" * 100_000),
        (200, {"Content-Type": "application/json", "Content-Encoding": "gzip"}, b"\x1f\x8b"),
        Liar.json({}),
        Liar.json({"api": 2, "version": "1", "python": "3", "layers": [], "libraries": {}, "limits": {}}),
        Liar.json({"api": 1, "version": "1", "python": "3", "layers": "all", "libraries": {}, "limits": {}}),
        Liar.json(
            {"api": 1, "version": "1", "python": "3", "layers": [], "libraries": {}, "limits": {"memory_mb": "much"}}
        ),
        Liar.json(
            {
                "api": 1,
                "version": "1",
                "python": "3",
                "layers": [],
                "libraries": {},
                "limits": {},
                "sessions": {"open": "0"},
            }
        ),
    ],
)
def test_what_is_no_sandbox_server_is_refused(start, answer):
    with pytest.raises(SandboxUnavailable, match="no server of the recipe answers"):
        check_servers(settings(start(Liar, status=answer).url))


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"memory_mb": 4096}, "memory_mb is 4096, at most 1024 is allowed"),
        ({"cell_timeout_s": 11}, "cell_timeout_s is 11, at most 10"),
        ({"libraries": [*LIBRARIES, "torch"]}, "torch is not there"),
    ],
)
async def test_a_server_that_allows_less_is_refused_before_any_code(start, limits, said):
    server = start(ThreadServer, settings())
    with pytest.raises(SandboxUnavailable, match=said):
        await RemoteSandbox(settings(server.url, **limits)).open()
    assert server.client.sessions()["open"] == 0


def test_a_server_that_isolates_less_is_refused(start):
    url = start(ThreadServer, settings()).url
    with pytest.raises(SandboxUnavailable, match="does not offer cgroups"):
        check_servers(settings(url, minimum=["namespaces", "cgroups"]))


def test_servers_that_are_not_alike_are_refused(start):
    urls = [start(ThreadServer, settings(), about=About(v, ABOUT.layers, "3", {"numpy": v})).url for v in "12"]
    with pytest.raises(SandboxUnavailable, match=r"different results.*'numpy': '1'.*'numpy': '2'"):
        check_servers(settings(*urls))


def test_what_servers_are_is_told(start):
    fewer = About("1", ABOUT.layers[:4], "3", ABOUT.libraries)
    urls = [start(ThreadServer, settings(), about=about).url for about in (ABOUT, fewer)]
    about = check_servers(settings(*urls, NOWHERE, minimum=[]))
    assert (about.version, about.layers, about.libraries) == ("1", ABOUT.layers[:4], {"numpy": "2"})


async def test_tls_with_ones_own_authority(start, monkeypatch, tmp_path, caplog):
    cryptography = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = cryptography.Name([cryptography.NameAttribute(cryptography.NameOID.COMMON_NAME, "tests")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        cryptography.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(1))
        .add_extension(cryptography.SubjectAlternativeName([cryptography.IPAddress(ip_address("127.0.0.1"))]), False)
        .add_extension(cryptography.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = tmp_path / "cert.pem", tmp_path / "key.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    secret.write_bytes(key.private_bytes(*form))
    url = start(ServerProcess, settings(), certificate=str(pem), key=str(secret)).url
    assert url.startswith("https://")
    with pytest.raises(SandboxUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await RemoteSandbox(settings(url)).about()
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    sandbox = RemoteSandbox(settings(url))
    async with await sandbox.open() as session:
        assert (await session.run("1 + 1")).value == "2"
    await sandbox.close()


def test_a_token_in_the_clear_is_warned_of(caplog):
    with caplog.at_level(logging.WARNING):
        RemoteSandbox(settings("http://sandbox.example:8717"))
    assert "use https" in caplog.text and TOKEN not in caplog.text


# Faults on the way


async def test_an_answer_that_is_lost_does_not_run_the_cell_twice(start):
    server = start(ThreadServer, settings())
    way = start(Wire, server.port)
    sandbox = RemoteSandbox(settings(way.url))
    async with await sandbox.open() as session:
        await session.run("runs = 0")
        for number in range(1, 5):
            way.cut()
            assert (await session.run("runs += 1\nruns")).value == str(number)
    assert way.cuts == 4 and server.client.sessions()["open"] == 0
    await sandbox.close()


async def test_an_opening_that_is_lost_is_tried_again(start):
    server = start(ThreadServer, settings())
    way = start(Wire, server.port)
    sandbox = RemoteSandbox(settings(way.url))
    await sandbox.about()
    way.cut()
    async with await sandbox.open() as session:
        assert (await session.run("1")).value == "1"
        assert way.cuts == 1 and server.client.sessions()["open"] == 1  # the same, asked for again
    assert server.client.sessions()["open"] == 0
    await sandbox.close()


async def test_a_session_that_the_server_lost_is_run_again(start):
    server = start(ThreadServer, settings(), idle_s=1.5)
    sandbox = RemoteSandbox(settings(server.url))
    async with await sandbox.open([blob(3, 4)], {"x": b"file"}) as session:
        await session.run("import random\nx = open('x').read()\nprint(x)")
        await session.run("y = 1 / 0")
        server.client.wait_for(open=0)
        again = await session.run("y = 2\nx, image_1.size")
        assert (again.outcome, again.value) == ("ok", "('file', (3, 4))")
        server.client.wait_for(open=0)
        last = await session.run("y / 0")
        assert last.outcome == "raised" and "<cell 4>" in last.error
    await sandbox.close()


async def test_only_what_came_after_a_loss_of_state_is_run_again(start):
    server = start(ThreadServer, settings(), idle_s=1.5)
    sandbox = RemoteSandbox(settings(server.url, cell_timeout_s=0.4))
    async with await sandbox.open() as session:
        await session.run("import os\nx = os.urandom(4)\nx")  # would never match again
        assert (await session.run("while True: pass")).state_lost
        before = await session.run("def f(): raise ValueError\nf()")
        assert "<cell 3>" in before.error
        server.client.wait_for(open=0)
        result = await session.run("'x' in globals(), f()")
        assert result.outcome == "raised" and "<cell 3>" in result.error and "<cell 4>" in result.error
    await sandbox.close()


async def test_cells_that_do_not_repeat_themselves_blame_nobody(start):
    server = start(ThreadServer, settings(), idle_s=1.5)
    sandbox = RemoteSandbox(settings(server.url))
    async with await sandbox.open() as session:
        await session.run("import os\nos.urandom(4)")
        server.client.wait_for(open=0)
        for _ in range(2):
            result = await session.run("1")
            assert (result.outcome, result.value) == ("infrastructure", "")
            assert "did something else" in result.error
    server.client.wait_for(open=0)
    await sandbox.close()


async def test_a_server_killed_in_the_middle_of_a_cell_is_taken_over_by_another(start):
    servers = {server.url: server for server in (start(ServerProcess, settings()) for _ in range(2))}
    sandbox = RemoteSandbox(settings(*servers))
    async with await sandbox.open([blob(3, 4)]) as session:
        await session.run("x = 20\nprint('one')")
        await session.run("image_1")
        lost = servers[session.server.url]
        running = asyncio.create_task(session.run("import time\ntime.sleep(1)\nx += 1\nx"))
        await asyncio.sleep(0.5)
        below = lost.descendants()
        lost.kill()
        result = await running
        assert (result.outcome, result.value, result.error) == ("ok", "21", "")
        assert session.server.url != lost.url
        assert (await session.run("x")).value == "21"
    others = [await sandbox.open() for _ in range(3)]  # the dead one is avoided
    assert {session.server.url for session in others} == set(servers) - {lost.url}
    await sandbox.close()
    assert below
    await asyncio.to_thread(lost.gone, below)


async def test_without_any_server_left_nobody_is_blamed(start, quickly):
    server = start(ServerProcess, settings())
    sandbox = RemoteSandbox(settings(server.url))
    session = await sandbox.open()
    await session.run("x = 1")
    server.kill()
    began = time.monotonic()
    result = await session.run("x")
    assert (result.outcome, result.value) == ("infrastructure", "")
    assert server.url in result.error and time.monotonic() - began < 15
    assert (await session.run("x")).outcome == "infrastructure"
    with pytest.raises(ToolInfrastructureError):
        await sandbox.open()
    await sandbox.close()


async def test_a_server_that_comes_back_goes_on(start):
    server = start(ThreadServer, settings())
    way = start(Wire, server.port)
    sandbox = RemoteSandbox(settings(way.url))
    async with await sandbox.open() as session:
        await session.run("x = 1")
        server.stop()
        running = asyncio.create_task(session.run("x + 1"))
        await asyncio.sleep(1)
        way.lead_to(start(ThreadServer, settings()).port)
        assert (await running).value == "2"
    await sandbox.close()


async def test_a_cell_that_the_server_could_not_run_is_run_again_or_nobodys_fault(start):
    class Session:
        async def run(self, code: str) -> CellResult:
            faults.append(code)
            return CellResult("infrastructure", error="the disk is full")

        async def close(self) -> None:
            pass

    class Full:
        async def open(self, *_: object) -> Session:
            return Session()

        async def close(self) -> None:
            pass

    faults = []
    first, second = start(ThreadServer, settings(), make=lambda _: Full()), start(ThreadServer, settings())
    sandbox = RemoteSandbox(settings(first.url))
    async with await sandbox.open() as session:
        result = await session.run("1")
        assert result.outcome == "infrastructure" and "the disk is full" in result.error
        assert faults == ["1"] * remote_session.ATTEMPTS
    await sandbox.close()
    assert (first.client.sessions()["open"], second.client.sessions()["open"]) == (0, 0)


# Several servers


async def test_sessions_are_spread_by_free_capacity(start):
    small, large = (start(ThreadServer, settings(sessions=count)) for count in (4, 12))
    sandbox = RemoteSandbox(settings(small.url, large.url))
    sessions = await asyncio.gather(*(sandbox.open() for _ in range(8)))
    assert 1 <= small.client.sessions()["open"] <= 3
    assert small.client.sessions()["open"] + large.client.sessions()["open"] == 8
    for session in sessions:
        await session.close()
    await sandbox.close()


async def test_a_full_server_is_left_for_one_that_is_free(start):
    full, free = (start(ThreadServer, settings(sessions=4)) for _ in range(2))
    other = RemoteSandbox(settings(full.url))
    held = [await other.open() for _ in range(4)]
    sandbox = RemoteSandbox(settings(full.url, free.url))
    async with await sandbox.open() as session:
        assert session.server.url == free.url
    for one in held:
        await one.close()
    await other.close()
    await sandbox.close()


async def test_a_server_that_is_busy_is_asked_again_when_it_said(start, monkeypatch):
    from sandbox.http import api

    monkeypatch.setattr(api, "MOST_WAITING", 1)
    monkeypatch.setattr(api, "RETRY_AFTER_S", 1)
    server = start(ThreadServer, settings(sessions=1), hold_s=0.2)
    sandbox = RemoteSandbox(settings(server.url))

    async def one(number: int) -> str:
        async with await sandbox.open() as session:
            return (await session.run(str(number))).value

    assert await asyncio.gather(*map(one, range(5))) == list("01234")
    await sandbox.close()


async def test_a_server_whose_libraries_change_is_not_used_any_more(start, quickly):
    liar = start(Liar)
    sandbox = RemoteSandbox(settings(liar.url))
    await sandbox.about()
    load = {"open": 0, "waiting": 0, "capacity": 8}
    liar.answers["open"] = Liar.json({"state": "open", "version": "2", "sessions": load})
    with pytest.raises(SandboxUnavailable, match="libraries are others"):
        await sandbox.open()
    await sandbox.close()
    assert [line.split()[0] for line in liar.asked] == ["GET", "PUT", "DELETE"]
    assert liar.asked[1].split()[1] == liar.asked[2].split()[1]


# Hostile answers

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
    monkeypatch.setattr(remote_session, "ATTEMPTS", 2)
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
    monkeypatch.setattr(remote_session, "ATTEMPTS", 1)
    liar = start(Liar, cells=(200, {"Content-Type": wire.FRAME}, bytes(8 << 20)))
    sandbox = RemoteSandbox(settings(liar.url))
    async with await sandbox.open() as session:
        result = await session.run("1")
        assert result.outcome == "infrastructure" and "more than 1048576 bytes" in result.error
    await sandbox.close()


async def test_a_cell_that_is_always_said_to_run_is_given_up(start, quickly, monkeypatch):
    monkeypatch.setattr(remote_session, "CELL_PATIENCE_S", 0.5)
    monkeypatch.setattr(remote_session, "ATTEMPTS", 1)
    liar = start(Liar, cells=Liar.json({"state": "running"}, 202))
    sandbox = RemoteSandbox(settings(liar.url, cell_timeout_s=0.5))
    async with await sandbox.open() as session:
        assert (await session.run("1")).outcome == "infrastructure"
        assert sum("cells" in path for path in liar.asked) < 10  # and the server was not asked without a pause
    await sandbox.close()


async def test_the_agent_does_not_see_the_difference(start):
    """The same cells, here and there: the same results, but for the time they took."""
    url = start(ThreadServer, settings()).url
    cells = ["x = [1]\nx", "print(x)\n1 / 0", "image_1", "import sys\nsys.exit(3)", "def f(:", "while True: pass", "x"]
    results = []
    for sandbox in (LocalSandbox(settings(cell_timeout_s=1)), RemoteSandbox(settings(url, cell_timeout_s=1))):
        async with await sandbox.open([blob(3, 4)]) as session:
            ran = [await session.run(code) for code in cells]
        results.append([json.dumps({**vars(result), "usage": 0}, default=repr) for result in ran])
        await sandbox.close()
    assert results[0] == results[1]


async def test_a_server_that_lost_a_layer_is_not_used_any_more(start, quickly):
    liar = start(Liar)
    sandbox = RemoteSandbox(settings(liar.url))
    await sandbox.about()
    load = {"open": 0, "waiting": 0, "capacity": 8}
    liar.answers["open"] = Liar.json({"state": "open", "version": "1", "layers": ["namespaces"], "sessions": load})
    with pytest.raises(SandboxUnavailable, match="does not offer the layers"):
        await sandbox.open()
    await sandbox.close()
