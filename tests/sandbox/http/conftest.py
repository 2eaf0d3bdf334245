"""Servers in threads, and a client that knows their token."""

import pytest

from sandbox.http import fleet, placement
from tests.support.sandbox_servers import LIMITS, TOKEN, Client, ThreadServer


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
    monkeypatch.setattr(placement, "PATIENCE_S", 1.5)
    monkeypatch.setattr(fleet, "FIRST_REST_S", 0.3)
