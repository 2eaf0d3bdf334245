"""The tool calls of a rollout: checked, made over the ledger, and made again to restore a session."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from records.faults import ToolInfrastructureError
from records.identity import content_hash
from records.trajectory import ExecutedCall, ToolCall, ToolResult
from rollouts.tools import Tool, ToolSession

TOOL_ATTEMPTS = 3
"""How often a call is tried on a fresh session when the tool itself fails."""


class Calls(Protocol):
    """Where finished calls are stored: a Ledger, or NoLedger."""

    async def once(self, rollout_id: str, kind: str, key: str, make: Any) -> dict[str, Any]: ...


class NoLedger:
    """Every call is made: for a model that changes between calls, as in an RL step."""

    async def once(self, rollout_id: str, kind: str, key: str, make: Any) -> dict[str, Any]:
        return await make()


class ToolUser:
    """The tools of one rollout; a session is opened when the first call has to be made.

    A session whose earlier calls came from the ledger is brought to the same state by making them again first.
    """

    def __init__(self, tools: Mapping[str, Tool], images: list[str], calls: Calls, rollout_id: str = "") -> None:
        self._tools, self._images, self._calls, self._rollout_id = tools, images, calls, rollout_id
        self._sessions: dict[str, ToolSession] = {}
        self._history: dict[str, list[tuple[str, ToolResult]]] = {}
        self._performed: dict[str, int] = {}

    async def call(self, call: ToolCall) -> ToolResult:
        """Raises ToolInfrastructureError when the tool fails on fresh sessions too."""
        tool = self._tools.get(call.name)
        if tool is None:
            known = ", ".join(self._tools) or "none"
            return ToolResult(outcome="invalid_call", text=f"There is no tool {call.name!r}. Tools: {known}.")
        try:
            arguments = json.loads(call.arguments)
        except json.JSONDecodeError as error:
            return ToolResult(outcome="invalid_call", text=f"The arguments are not valid JSON: {error}")
        if not isinstance(arguments, dict):
            return ToolResult(outcome="invalid_call", text="The arguments must be a JSON object.")
        history = self._history.setdefault(call.name, [])
        before = [arguments for arguments, _ in history]
        key = content_hash(["tool", self._rollout_id, tool.name, tool.version, self._images, before, call.arguments])

        async def make() -> dict[str, Any]:
            return (await self._perform(tool, history, arguments)).model_dump()

        result = ToolResult.model_validate(await self._calls.once(self._rollout_id, "tool", key, make))
        history.append((call.arguments, result))
        return result

    async def _perform(
        self, tool: Tool, history: list[tuple[str, ToolResult]], arguments: dict[str, Any]
    ) -> ToolResult:
        for number in range(TOOL_ATTEMPTS):
            try:
                session = self._sessions.get(tool.name)
                if session is None:
                    session = self._sessions[tool.name] = tool.open(self._images)
                    self._performed[tool.name] = 0
                for earlier, before in history[self._performed[tool.name] :]:
                    again = await session.call(json.loads(earlier))
                    if (again.outcome, again.text, again.images) != (before.outcome, before.text, before.images):
                        # The model has read the first result: to continue from another state would falsify the rollout.
                        raise ToolInfrastructureError(
                            f"{tool.name}: an earlier call gave something else when made again"
                        )
                    self._performed[tool.name] += 1
                result = await session.call(arguments)
                self._performed[tool.name] += 1
                return result
            except ToolInfrastructureError:
                if (broken := self._sessions.pop(tool.name, None)) is not None:
                    await broken.close()
                if number == TOOL_ATTEMPTS - 1:
                    raise
        raise AssertionError("the loop returns or raises")

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()


async def replay(calls: Sequence[ExecutedCall], tools: Mapping[str, Tool], images: list[str]) -> list[ToolResult]:
    """Make a rollout's calls again, in order, in fresh sessions; nothing is read from a ledger."""
    user = ToolUser(tools, images, NoLedger())
    try:
        return [await user.call(executed.call) for executed in calls]
    finally:
        await user.close()
