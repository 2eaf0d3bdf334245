"""Which servers may be used is checked before any code runs, and sessions go where there is room."""

import asyncio
import datetime
import logging
from ipaddress import ip_address

import pytest

from sandbox import SandboxUnavailable
from sandbox.description import SandboxDescription
from sandbox.http import wire
from sandbox.http.remote import RemoteSandbox, check_servers
from tests.support.sandbox_servers import (
    DESCRIPTION,
    LIBRARIES,
    TOKEN,
    Liar,
    ServerProcess,
    ThreadServer,
    settings,
)

NOWHERE = "http://127.0.0.1:1"


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
    with pytest.raises(SandboxUnavailable, match=f"{url}: the token was refused; TOUCHSTONE_SANDBOX_TOKEN must have"):
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
        Liar.json({"api": 99, "version": "1", "python": "3", "layers": [], "libraries": {}, "limits": {}}),
        Liar.json({"api": wire.API, "version": "1", "python": "3", "layers": "all", "libraries": {}, "limits": {}}),
        Liar.json(
            {
                "api": wire.API,
                "version": "1",
                "python": "3",
                "layers": [],
                "libraries": {},
                "limits": {"memory_mb": "much"},
            }
        ),
        Liar.json(
            {
                "api": wire.API,
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
        ({"libraries": [*LIBRARIES, "torch"]}, "torch is not available"),
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
    urls = [
        start(ThreadServer, settings(), description=SandboxDescription(v, DESCRIPTION.layers, "3", {"numpy": v})).url
        for v in "12"
    ]
    with pytest.raises(SandboxUnavailable, match=r"different results.*'numpy': '1'.*'numpy': '2'"):
        check_servers(settings(*urls))


def test_what_servers_are_is_told(start):
    fewer = SandboxDescription("1", DESCRIPTION.layers[:4], "3", DESCRIPTION.libraries)
    urls = [start(ThreadServer, settings(), description=description).url for description in (DESCRIPTION, fewer)]
    description = check_servers(settings(*urls, NOWHERE, minimum=[]))
    assert (description.version, description.layers, description.libraries) == (
        "1",
        DESCRIPTION.layers[:4],
        {"numpy": "2"},
    )


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
        await RemoteSandbox(settings(url)).describe()
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    sandbox = RemoteSandbox(settings(url))
    async with await sandbox.open() as session:
        assert (await session.run("1 + 1")).value == "2"
    await sandbox.close()


def test_a_token_in_the_clear_is_warned_of(caplog):
    with caplog.at_level(logging.WARNING):
        RemoteSandbox(settings("http://sandbox.example:8717"))
    assert "use https" in caplog.text and TOKEN not in caplog.text


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
    await sandbox.describe()
    load = {"open": 0, "waiting": 0, "capacity": 8}
    liar.answers["open"] = Liar.json({"state": "open", "version": "2", "sessions": load})
    with pytest.raises(SandboxUnavailable, match="libraries have changed"):
        await sandbox.open()
    await sandbox.close()
    assert [line.split()[0] for line in liar.asked] == ["GET", "PUT", "DELETE"]
    assert liar.asked[1].split()[1] == liar.asked[2].split()[1]


async def test_a_server_that_lost_a_layer_is_not_used_any_more(start, quickly):
    liar = start(Liar)
    sandbox = RemoteSandbox(settings(liar.url))
    await sandbox.describe()
    load = {"open": 0, "waiting": 0, "capacity": 8}
    liar.answers["open"] = Liar.json({"state": "open", "version": "1", "layers": ["namespaces"], "sessions": load})
    with pytest.raises(SandboxUnavailable, match="does not offer the layers"):
        await sandbox.open()
    await sandbox.close()
