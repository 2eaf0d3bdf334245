"""Which tests run in one process, and in which order; and the examples of a property are not timed by the clock."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

TOGETHER = {
    "the graph on the real model": ["pipelines/test_end_to_end.py"],
    "whole runs": [
        "pipelines/test_kills.py", "pipelines/test_only_what_changed.py", "pipelines/test_faults.py",
        "pipelines/test_two_runs.py", "pipelines/test_servers.py", "pipelines/test_secrets.py",
    ],
    "trainers": [
        "training/test_formats.py", "training/test_verl_environment.py", "training/test_grpo_environment.py",
        "training/test_training_jobs.py", "rollouts/models/test_merge_lora.py",
    ],
    "attacks": ["sandbox/test_attacks.py"],
}  # fmt: skip
"""Files that share a process, for what is slow to import or to make once. These groups come first, in this order."""
_GROUP = {f"{Path(__file__).parent.name}/{name}": group for group, names in TOGETHER.items() for name in names}
_TURN = {name: turn for turn, name in enumerate(_GROUP)}


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _TURN.get(_file(item.nodeid), len(_TURN)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """As --dist loadfile does it, with the files of a group for one file."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class LoadGroups(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _GROUP.get(_file(nodeid), _file(nodeid))

    return LoadGroups(config, log)
