"""The tool calls of a rollout: checked, made over the ledger, and made again to restore a session."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from records.faults import NotRepeatable, ToolInfrastructureError
from records.identity import content_hash
from records.trajectory import ExecutedCall, Rollout, ToolCall, ToolResult
from rollouts.tools import Tool, ToolSession, open_session

TOOL_ATTEMPTS = 3
"""How often a call is tried on a fresh session when the tool itself fails."""


class Calls(Protocol):
    """Where finished calls are stored: a Ledger, or NoLedger."""

    def get(self, rollout_id: str, key: str) -> dict[str, Any] | None: ...

    async def once(
        self, rollout_id: str, kind: str, key: str, make: Any, former: tuple[str, str] | None = None
    ) -> dict[str, Any]: ...


class NoLedger:
    """Every call is made: for a model that changes between calls, as in an RL step."""

    def get(self, rollout_id: str, key: str) -> None:
        return None

    async def once(
        self, rollout_id: str, kind: str, key: str, make: Any, former: tuple[str, str] | None = None
    ) -> dict[str, Any]:
        return await make()


class ToolUser:
    """The tools of one rollout; a session is opened when the first call has to be made.

    A session whose earlier calls came from the ledger is brought to the same state by making them again first.

    Args:
        former_id: what the rollout was called in the version before; its calls are taken over if they were reopened.
    """

    def __init__(
        self,
        tools: Mapping[str, Tool],
        images: list[str],
        calls: Calls,
        rollout_id: str = "",
        seed: int | None = None,
        former_id: str | None = None,
    ) -> None:
        self._tools, self._images, self._calls = tools, images, calls
        self._rollout_id, self._seed, self._former_id = rollout_id, seed, former_id
        self._sessions: dict[str, ToolSession] = {}
        self._history: dict[str, list[tuple[str, ToolResult]]] = {}
        self._performed: dict[str, int] = {}

    async def call(self, call: ToolCall) -> ToolResult:
        """The result of a call.

        Raises:
            ToolInfrastructureError: the tool fails on fresh sessions too.
            NotRepeatable: the session's state cannot be brought back.
        """
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

        def key_in(rollout_id: str) -> str:
            return content_hash(["tool", rollout_id, tool.name, tool.version, self._images, before, call.arguments])

        former = None if self._former_id is None else (self._former_id, key_in(self._former_id))

        async def make() -> dict[str, Any]:
            return (await self._perform(tool, history, arguments)).model_dump()

        stored = await self._calls.once(self._rollout_id, "tool", key_in(self._rollout_id), make, former)
        result = ToolResult.model_validate(stored)
        history.append((call.arguments, result))
        return result

    async def _perform(
        self, tool: Tool, history: list[tuple[str, ToolResult]], arguments: dict[str, Any]
    ) -> ToolResult:
        for number in range(TOOL_ATTEMPTS):
            try:
                session = self._sessions.get(tool.name)
                if session is None:
                    session = self._sessions[tool.name] = open_session(tool, self._images, self._seed)
                    self._performed[tool.name] = 0
                for earlier, before in history[self._performed[tool.name] :]:
                    again = await session.call(json.loads(earlier))
                    if not again.reads_like(before):
                        # The model has read the first result: to continue from another state would falsify the rollout.
                        raise NotRepeatable(f"{tool.name}: an earlier call gave something else when made again")
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


async def replay(
    calls: Sequence[ExecutedCall], tools: Mapping[str, Tool], images: list[str], seed: int | None = None
) -> list[ToolResult]:
    """Make a rollout's calls again, in order, in fresh sessions; nothing is read from a ledger.

    Raises:
        ToolInfrastructureError: a tool failed by itself.
        NotRepeatable: it failed by itself, and its session could not be brought back.
    """
    user = ToolUser(tools, images, NoLedger(), seed=seed)
    try:
        return [await user.call(executed.call) for executed in calls]
    finally:
        await user.close()


async def replays(rollout: Rollout, tools: Mapping[str, Tool], images: list[str]) -> list[list[ToolResult]]:
    """The results of a rollout's calls made again, and once more if they are not what they were: two replays that agree
    show that the calls can be repeated. Without any replay they cannot.

    Raises:
        ToolInfrastructureError: a tool failed by itself.
    """
    found: list[list[ToolResult]] = []
    for _ in range(2):
        try:
            found.append(await replay(rollout.tool_calls, tools, images, rollout.seed))
        except NotRepeatable:
            return []
        if all(
            executed.result.reads_like(again) for executed, again in zip(rollout.tool_calls, found[-1], strict=True)
        ):
            break
    return found
