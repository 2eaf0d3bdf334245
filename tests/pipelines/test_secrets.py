"""No secret in anything that a run writes: logs, events, ledger, tables, metadata, errors."""

import functools
import logging
import urllib.parse

import dagster as dg
import pytest

from rollouts.models import endpoint
from tests.support import whole_runs
from tests.support.fault_server import Reply, StandIn, chat
from tests.support.whole_runs import Place

KEY = "sk-live/Zq7+secretkey0042"
PASSWORD = "pass:w0rd/secret"
ECHO = Reply(lambda headers: {"error": {"message": f"refused: {headers}", "type": "server_error"}}, 500)
REFUSED = Reply(lambda headers: f"Incorrect API key provided: {headers['Authorization']}", 401)
PAGE = Reply(lambda headers: f"<html><pre>{headers}</pre></html>")
UNKNOWN = Reply(lambda headers: chat("4", f"ended for {headers['Authorization']}"))
IN_A_200 = Reply(lambda headers: {"error": {"code": 400, "message": f"content_filter: {headers}"}})
TWISTED = {
    "a key": KEY, "with a line break": f"{KEY}\n", "with blanks": f"  {KEY} ", "with Bearer in front": f"Bearer {KEY}",
    "in two lines": f"{KEY}\n{KEY}", "with a letter that none has": f"{KEY}é",
}  # fmt: skip


@pytest.mark.parametrize("reply", [ECHO, REFUSED, PAGE, UNKNOWN, IN_A_200], ids=["500", "401", "page", "reason", "400"])
def test_a_server_that_sends_the_key_back(tmp_path, monkeypatch, caplog, capfd, reply):
    run(tmp_path, monkeypatch, caplog, capfd, KEY, reply)


MORE = ("with a line break", "with blanks", "with Bearer in front")
"""Forms that tests/rollouts/models/test_addresses.py tries by default, without a run around them."""


@pytest.mark.parametrize("form", [pytest.param(form, marks=[pytest.mark.slow] * (form in MORE)) for form in TWISTED])
def test_a_key_in_another_form(tmp_path, monkeypatch, caplog, capfd, form):
    run(tmp_path, monkeypatch, caplog, capfd, TWISTED[form], REFUSED)


@pytest.mark.parametrize("userinfo", [f"user:{urllib.parse.quote(PASSWORD, safe='')}", f"user:{PASSWORD}"])
def test_a_password_in_the_url(tmp_path, monkeypatch, caplog, capfd, userinfo):
    run(tmp_path, monkeypatch, caplog, capfd, None, ECHO, userinfo)


def run(tmp_path, monkeypatch, caplog, capfd, key, reply, userinfo=""):
    """A run that fails, and a look at everything it wrote."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(endpoint, "FIRST_DELAY_S", 0.01)
    server = StandIn(reply)
    try:
        url = server.url.replace("://", f"://{userinfo}@") if userinfo else server.url
        changes = {"models.policy.max_retries": 1}
        if key is not None:
            monkeypatch.setenv("TOUCHSTONE_TEST_KEY", key)
            changes["models.policy.api_key_env"] = "TOUCHSTONE_TEST_KEY"
        place = Place(tmp_path / "place", url, changes)
        with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
            monkeypatch.setattr(whole_runs.dg, "materialize", functools.partial(dg.materialize, instance=instance))
            error = place.run(("direct_rollouts",)).error
    finally:
        server.close()
    assert error, "the run fails, and says why"
    said = [error, caplog.text, *capfd.readouterr()]
    files = [path for path in tmp_path.rglob("*") if path.is_file() and not path.name.startswith("recipe-")]
    assert any(path.suffix == ".db" for path in files)
    for secret in (KEY, KEY.removeprefix("sk-live/"), "Zq7%2Bsecret", PASSWORD, "w0rd", "dXNlcjpwYXNz"):
        assert not [text for text in said if secret in text], secret
        assert not [path for path in files if secret.encode() in path.read_bytes()], secret
