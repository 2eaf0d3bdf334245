"""What a rollout stage did, in figures that other stages and the command line read."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

METADATA_KEY = "stage_summary"
"""The key under which a stage's asset shows it."""


class StageSummary(BaseModel):
    """The calls that a stage made and those that it read from the ledger, and the rollouts that it did without."""

    model_config = ConfigDict(extra="forbid")

    calls_made: dict[str, int] = Field(default_factory=dict)
    """Calls by kind, such as `model` and `tool`."""
    calls_from_the_ledger: dict[str, int] = Field(default_factory=dict)
    unfinished: int = 0
    """Rollouts that faults of a server or a tool left unfinished."""
    not_needed: dict[str, int] = Field(default_factory=dict)
    """Rollouts that were not needed, by the reason in words, such as "saved by stopping early"."""

    def plus(self, other: "StageSummary") -> "StageSummary":
        """The sums of both."""

        def added(one: Mapping[str, int], two: Mapping[str, int]) -> dict[str, int]:
            return {name: one.get(name, 0) + two.get(name, 0) for name in {**one, **two}}

        return StageSummary(
            calls_made=added(self.calls_made, other.calls_made),
            calls_from_the_ledger=added(self.calls_from_the_ledger, other.calls_from_the_ledger),
            unfinished=self.unfinished + other.unfinished,
            not_needed=added(self.not_needed, other.not_needed),
        )

    @classmethod
    def in_metadata(cls, metadata: Mapping[str, Any]) -> "StageSummary | None":
        """The summary in the metadata of a materialization; None where there is none."""
        entry = metadata.get(METADATA_KEY)
        return None if entry is None else cls.model_validate(getattr(entry, "value", entry))
