"""Sandboxes on this machine with tight limits."""

import pytest

from records.recipe import SandboxSettings
from sandbox import LocalSandbox


@pytest.fixture
async def sandbox():
    opened = LocalSandbox(SandboxSettings(cell_timeout_s=20, memory_mb=256, processes=16))
    yield opened
    await opened.close()


@pytest.fixture
async def quick():
    """A sandbox for code that has to be stopped."""
    opened = LocalSandbox(SandboxSettings(cell_timeout_s=2.0))
    yield opened
    await opened.close()
