"""The loop: one attempt of a model at a question, turn by turn, over the ledger.

A call that the ledger holds is read from it; one that it does not is made and written. Run again after a kill, the
loop therefore walks the same way up to the first call that had not finished, and goes on from there.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from records.identity import canonical_json, content_hash, hashed
from records.images.store import ImageStore
from records.question import Question
from records.recipe import Sampling
from records.trajectory import (
    ExecutedCall,
    Message,
    Rollout,
    StopReason,
    ToolCall,
    ToolResult,
    text_message,
    tool_message,
)
from rollouts.dialects import Dialect, render
from rollouts.models.contract import (
    Completer,
    Completion,
    ContextLengthExceeded,
    MalformedReply,
    ModelOutage,
    ModelUnavailable,
    Request,
)
from rollouts.prompts.build import GIVEN
from rollouts.tools import Tool, ToolInfrastructureError, ToolSession

REMINDER = "Give the final answer, and nothing but the answer."
LONGEST_BARE_ANSWER = 100
TOOL_ATTEMPTS = 3
"""How often a call is tried on a fresh session when the tool itself fails."""


def sampling_identity(sampling: Sampling) -> dict[str, Any]:
    """How sampling enters fingerprints and is kept with a rollout: a limit that is not set is no part of it."""
    return hashed(sampling)


class Calls(Protocol):
    """Where finished calls are kept: a Ledger, or NoLedger."""

    async def once(self, rollout_id: str, kind: str, key: str, make: Any) -> dict[str, Any]: ...


class NoLedger:
    """Every call is made: for a model that changes between calls, as in an RL step."""

    async def once(self, rollout_id: str, kind: str, key: str, make: Any) -> dict[str, Any]:
        return await make()


@dataclass(frozen=True)
class Setting:
    """What the attempts of one arm at questions of one task have in common."""

    arm: str
    dialect: Dialect
    tools: Mapping[str, Tool]
    sampling: Sampling
    images: ImageStore
    sees_images: bool = False
    prompt_template: str = ""
    """Fingerprint of the way its prompts are made (rollouts.prompts.build.template_fingerprint)."""

    def tool_versions(self) -> dict[str, str]:
        return {name: tool.version for name, tool in sorted(self.tools.items())}

    def fingerprint(self, model_fingerprint: str) -> str:
        """Identity of the setting: two attempts at one question in it differ in the sample index alone."""
        sampling = sampling_identity(self.sampling)
        return content_hash([self.arm, model_fingerprint, self.prompt_template, sampling, self.tool_versions()])


class ToolUser:
    """The tools in the hands of one rollout: sessions opened at the first call that has to be made.

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
        for attempt in range(TOOL_ATTEMPTS):
            try:
                session = self._sessions.get(tool.name)
                if session is None:
                    session = self._sessions[tool.name] = tool.open(self._images)
                    self._performed[tool.name] = 0
                for earlier, before in history[self._performed[tool.name] :]:
                    again = await session.call(json.loads(earlier))
                    if (again.outcome, again.text, again.images) != (before.outcome, before.text, before.images):
                        # The model has read the first result: going on from another state would falsify the rollout.
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
                if attempt == TOOL_ATTEMPTS - 1:
                    raise
        raise AssertionError("the loop returns or raises")

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()


async def _complete(model: Completer, request: Request, rollout_id: str, turn: int, calls: Calls) -> Completion | str:
    """The completion, or the stop reason that a refused prompt or a malformed reply is recorded as."""
    # The rollout's identity is part of it: questions about different images can ask the very same words, and each is
    # owed draws of its own.
    key = content_hash(
        ["model", rollout_id, model.fingerprint, request.messages, request.temperature, request.top_p,
         request.max_tokens, list(request.stop), request.extra, turn]
    )  # fmt: skip

    async def make() -> dict[str, Any]:
        try:
            reply = await model.complete(replace(request, id=key))
        except ContextLengthExceeded as error:
            return {"failure": "context_length", "detail": str(error)}
        except MalformedReply as error:
            return {"failure": "malformed_reply", "detail": str(error)}
        return vars(reply)

    value = await calls.once(rollout_id, "model", key, make)
    return value["failure"] if "failure" in value else Completion(**value)


def _most_tokens(sampling: Sampling, written: int) -> int:
    """How many tokens the next turn may have after so many in the turns before it; 0 when the budget is spent."""
    if sampling.total_tokens is None:
        return sampling.max_tokens
    return max(0, min(sampling.max_tokens, sampling.total_tokens - written))


def _bare_answer(message: Message, reply: Completion) -> Message:
    """The message with its text as the answer: after the reminder, one short line is what was asked for."""
    text = reply.text.strip()
    if reply.finish_reason == "length" or not text or "\n" in text or len(text) > LONGEST_BARE_ANSWER:
        return message
    return message.model_copy(update={"answer": text})


async def attempt(
    question: Question,
    prompt: Sequence[Message],
    setting: Setting,
    sample: int,
    model: Completer,
    calls: Calls,
) -> Rollout:
    """Roll the model out once. Faults of the server or of a tool leave the rollout `unfinished`, never wrong.

    Raises:
        ModelOutage: no call gets through to the model at all; going on with others would be in vain.
    """
    dialect, sampling = setting.dialect, setting.sampling
    tools = list(setting.tools.values())
    # the prompt's images enter the fingerprint by hash, never as bytes
    prompt_fingerprint = content_hash([dialect.name, [hashed(m) for m in prompt], setting.sees_images])
    versions = setting.tool_versions()
    # what is given up front may come to the same words in another setting, where it is another attempt
    given = [setting.prompt_template] if setting.arm in GIVEN else []
    rollout_id = content_hash(
        [question.question_id, setting.arm, model.fingerprint, prompt_fingerprint, sampling_identity(sampling),
         versions, sample, *given]
    )  # fmt: skip
    messages: list[Message] = []
    executed: list[ExecutedCall] = []
    prompt_tokens = completion_tokens = 0
    seconds = 0.0
    stop: StopReason = "max_turns"
    error_class = ""
    user = ToolUser(setting.tools, question.images, calls, rollout_id)
    try:
        reminders = turn = 0
        while turn < sampling.max_turns + reminders:
            most = _most_tokens(sampling, completion_tokens)
            if not most:
                stop = "max_tokens"
                break
            request = Request(
                messages=render(dialect, [*prompt, *messages], setting.images if setting.sees_images else None),
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                max_tokens=most,
                stop=dialect.stop(tools),
                extra=dict(dialect.extra),
            )
            reply = await _complete(model, request, rollout_id, turn, calls)
            turn += 1
            if isinstance(reply, str):
                stop = reply
                break
            prompt_tokens += reply.prompt_tokens
            completion_tokens += reply.completion_tokens
            seconds += reply.seconds
            message = dialect.parse(reply.text, reply.finish_reason, tools)
            if reminders and not message.tool_calls and message.answer is None:
                message = _bare_answer(message, reply)
            messages.append(message)
            if message.answer is not None:
                stop = "answered"
                break
            if not message.tool_calls:
                cut_off = reply.finish_reason == "length"
                if cut_off and 0 < reply.completion_tokens < most:
                    stop = "context_length"  # it was the server's room that ended, not the budget it was given
                    break
                room = _most_tokens(sampling, completion_tokens) > 0
                if not cut_off and room and reminders < sampling.reminders:
                    reminders += 1
                    messages.append(text_message("user", REMINDER))
                    continue
                stop = "max_tokens" if cut_off else "no_answer"
                break
            for call in message.tool_calls:
                result = await user.call(call)
                seconds += result.seconds
                executed.append(ExecutedCall(call=call, result=result))
                messages.append(tool_message(call.name, result))
    except ModelOutage:
        raise
    except (ModelUnavailable, ToolInfrastructureError) as error:
        stop, error_class = "unfinished", f"{type(error).__name__}: {error}"
    finally:
        await user.close()
    answer = messages[-1].answer if stop == "answered" else None
    return Rollout(
        rollout_id=rollout_id,
        question_id=question.question_id,
        arm=setting.arm,
        model_fingerprint=model.fingerprint,
        prompt_fingerprint=prompt_fingerprint,
        setting=setting.fingerprint(model.fingerprint),
        prompt_template=setting.prompt_template,
        sampling=canonical_json(sampling_identity(sampling)),
        tool_versions=canonical_json(versions),
        sample_index=sample,
        prompt=list(prompt),
        messages=messages,
        answer=answer,
        tool_calls=executed,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        seconds=seconds,
        stop_reason=stop,
        error_class=error_class,
    )


async def replay(calls: Sequence[ExecutedCall], tools: Mapping[str, Tool], images: list[str]) -> list[ToolResult]:
    """Make a rollout's calls again, in order, in fresh sessions; nothing is read from a ledger."""
    user = ToolUser(tools, images, NoLedger())
    try:
        return [await user.call(executed.call) for executed in calls]
    finally:
        await user.close()
