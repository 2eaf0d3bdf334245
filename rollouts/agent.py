"""The agent loop: one attempt of a model at a question, turn by turn, over the ledger.

A call that is stored in the ledger is read from it; any other call is made and written. After a kill, the loop
therefore takes the same way again up to the first call that had not finished, and resumes there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from records.faults import ToolInfrastructureError
from records.identity import canonical_json, content_hash, hashed
from records.question import Question
from records.trajectory import ExecutedCall, Message, Rollout, StopReason, text_message, tool_message
from rollouts.bare_answer import bare_answer, lost
from rollouts.dialects import with_thought
from rollouts.models.contract import (
    Completer,
    Completion,
    ContextLengthExceeded,
    MalformedReply,
    ModelOutage,
    ModelUnavailable,
    Request,
)
from rollouts.setting import Setting, sampling_identity
from rollouts.tool_calls import Calls, ToolUser

REMINDER = "Give the final answer, and nothing but the answer."


@dataclass
class Turns:
    """The turns of one attempt so far, and what they cost."""

    setting: Setting
    prompt: Sequence[Message]
    messages: list[Message] = field(default_factory=list)
    """What came after the prompt."""
    executed: list[ExecutedCall] = field(default_factory=list)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    requests: int = 0
    """Requests that were asked for, the one under way included."""
    reminders: int = 0
    lost: str = ""
    """What of the last reply was lost, and what to do about it."""

    @property
    def room(self) -> int:
        """How many tokens the next turn may have; 0 when the budget of all turns is spent."""
        sampling = self.setting.sampling
        if sampling.total_tokens is None:
            return sampling.max_tokens
        return max(0, min(sampling.max_tokens, sampling.total_tokens - self.completion_tokens))

    def over(self) -> StopReason | None:
        """Why there is no further turn; None if there is one."""
        if self.requests >= self.setting.sampling.max_turns + self.reminders:
            return "max_turns"
        return None if self.room else "max_tokens"

    def next_request(self) -> Request:
        """The request for the next turn."""
        setting = self.setting
        images = setting.images if setting.sees_images else None
        said = map(with_thought, self.messages) if setting.sampling.reasoning_in_history else self.messages
        body = setting.dialect.request([*self.prompt, *said], list(setting.tools.values()), images)
        self.requests += 1
        return Request(
            messages=body.pop("messages"),
            temperature=setting.sampling.temperature,
            top_p=setting.sampling.top_p,
            max_tokens=self.room,
            stop=tuple(body.pop("stop", ())),
            extra=body,
        )

    def add(self, reply: Completion, max_tokens: int) -> StopReason | None:
        """Take in the reply to a request for at most `max_tokens` tokens; returns why the attempt ends, if it does."""
        self.prompt_tokens += reply.prompt_tokens
        self.completion_tokens += reply.completion_tokens
        self.seconds += reply.seconds
        tools = list(self.setting.tools.values())
        message = self.setting.dialect.read(reply, tools)
        if self.reminders and reply.finish_reason != "length":
            message = bare_answer(message, tools)
        self.messages.append(message)
        if message.answer is not None:
            return "answered"
        if message.tool_calls:
            return None
        if reply.finish_reason == "length":
            # with tokens left, it was the server's context that ended and not the budget of the turn
            return "context_length" if 0 < reply.completion_tokens < max_tokens else "max_tokens"
        self.lost = lost(reply, self.setting.dialect, tools, reminded=self.reminders > 0)
        if self.lost:
            return "lost_content"
        if not self.room or self.reminders >= self.setting.sampling.reminders:
            return "no_answer"
        self.reminders += 1
        self.messages.append(text_message("user", REMINDER))
        return None

    def add_result(self, executed: ExecutedCall) -> None:
        """Take in what a call of the last reply returned."""
        self.seconds += executed.result.seconds
        self.executed.append(executed)
        self.messages.append(tool_message(executed.call.name, executed.result))


async def _complete(
    model: Completer, request: Request, rollout_id: str, turn: int, calls: Calls
) -> Completion | StopReason:
    """The completion, or the stop reason that a refused prompt or a malformed reply is recorded as."""
    # The rollout's identity is part of the key: questions about different images can have the very same words, and each
    # needs draws of its own.
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


async def _take_turns(turns: Turns, model: Completer, user: ToolUser, rollout_id: str, calls: Calls) -> StopReason:
    """Add turn after turn until the attempt ends, and return why it ended."""
    while (stop := turns.over()) is None:
        turn, request = turns.requests, turns.next_request()
        reply = await _complete(model, request, rollout_id, turn, calls)
        if isinstance(reply, str):
            return reply
        if (stop := turns.add(reply, request.max_tokens)) is not None:
            return stop
        for call in turns.messages[-1].tool_calls:
            turns.add_result(ExecutedCall(call=call, result=await user.call(call)))
    return stop


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
        ModelOutage: no call gets through to the model at all, so other attempts would fail too.
    """
    # the prompt's images enter the fingerprint by hash, never as bytes
    prompt_fingerprint = content_hash([setting.dialect.name, [hashed(m) for m in prompt], setting.sees_images])
    sampling, versions = sampling_identity(setting.sampling), setting.tool_versions()
    rollout_id = content_hash(
        [question.question_id, setting.arm, model.fingerprint, prompt_fingerprint, sampling, versions, sample,
         *([setting.prompt_template] if setting.prefilled else [])]
    )  # fmt: skip
    turns = Turns(setting, prompt)
    user = ToolUser(setting.tools, question.images, calls, rollout_id)
    error_class = ""
    try:
        stop = await _take_turns(turns, model, user, rollout_id, calls)
        error_class = turns.lost
    except ModelOutage:
        raise
    except (ModelUnavailable, ToolInfrastructureError) as error:
        stop, error_class = "unfinished", f"{type(error).__name__}: {error}"
    finally:
        await user.close()
    return Rollout(
        rollout_id=rollout_id,
        question_id=question.question_id,
        arm=setting.arm,
        model_fingerprint=model.fingerprint,
        prompt_fingerprint=prompt_fingerprint,
        setting=setting.fingerprint(model.fingerprint),
        prompt_template=setting.prompt_template,
        sampling=canonical_json(sampling),
        tool_versions=canonical_json(versions),
        sample_index=sample,
        prompt=list(prompt),
        messages=turns.messages,
        answer=turns.messages[-1].answer if stop == "answered" else None,
        tool_calls=turns.executed,
        prompt_tokens=turns.prompt_tokens,
        completion_tokens=turns.completion_tokens,
        seconds=turns.seconds,
        stop_reason=stop,
        error_class=error_class,
    )
