"""The longest files come first, for `--dist loadfile`; and the examples of a property are not timed by the clock."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

LONGEST = (
    "pipelines/test_end_to_end.py",  # half of all the time, and mostly of one core
    "rollouts/models/test_images_reach_model.py",
    "rollouts/models/test_local_server.py",
    "training/test_formats.py",
    "rollouts/models/test_merge_lora.py",
    "pipelines/test_kills.py",
    "sandbox/test_attacks.py",  # not beside the start of a model server: they watch the machine's memory
)
"""Files that take more than half a minute, the longest first; the others keep their order."""
_TURN = {Path(__file__).parent / name: turn for turn, name in enumerate(LONGEST)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _TURN.get(item.path, len(_TURN)))
