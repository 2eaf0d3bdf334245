"""Tools that may be called and whose results are withheld: what the habit of calling does without what comes back."""

from collections.abc import Mapping
from typing import Any

from records.identity import content_hash
from records.trajectory import ToolResult
from rollouts.tools import Tool

NOTICE = "(The result is not shown.)"
"""The text says neither that the call went well nor that it failed: either would be a result."""


class WithheldSession:
    """The tool of one rollout; nothing is run, and nothing is kept."""

    async def call(self, arguments: dict[str, Any]) -> ToolResult:
        """The notice, also for arguments that the tool itself would refuse: a refusal would say something."""
        return ToolResult(outcome="ok", text=NOTICE)

    async def close(self) -> None:
        return None


class Withheld:
    """A tool in the same words as the real one. Satisfies `Tool`; the version is of the notice alone."""

    version = content_hash(["withheld", NOTICE])

    def __init__(self, tool: Tool) -> None:
        self.name, self.description, self.parameters = tool.name, tool.description, tool.parameters

    def open(self, images: list[str], seed: int | None = None) -> WithheldSession:
        return WithheldSession()


def withhold(tools: Mapping[str, Tool]) -> dict[str, Tool]:
    """These tools, each with its results withheld."""
    return {name: Withheld(tool) for name, tool in tools.items()}
