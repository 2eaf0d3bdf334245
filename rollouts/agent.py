"""The agent loop: one attempt of a model at a question, turn by turn, over the ledger.

A call that is stored in the ledger is read from it; any other call is made and written. After a kill, the loop
therefore takes the same way again up to the first call that had not finished, and resumes there.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from records.faults import NotRepeatable, ToolInfrastructureError
from records.identity import canonical_json, content_hash, hashed
from records.question import Question
from records.trajectory import ExecutedCall, Message, Rollout, StopReason, text_message, tool_message
from rollouts.bare_answer import bare_answer, lost
from rollouts.dialects import with_thought
from rollouts.models.contract import (
    Completer,
    Completion,
    ContextLengthExceeded,
    ModelOutage,
    ModelUnavailable,
    QuestionRefused,
    Request,
)
from rollouts.models.finish_reasons import FINISH_REASONS, UnknownFinishReason, said_reason, unsaid_reason
from rollouts.redraws import Draws
from rollouts.setting import VERSION, Setting, sampling_identity
from rollouts.tool_calls import Calls, ToolUser
from rollouts.tools import session_seed

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


class _CutByTheServer(Exception):
    """A reply that the server's context ended: it is used, but a server with a longer one would end it elsewhere."""

    def __init__(self, reply: Completion) -> None:
        super().__init__()
        self.reply = reply


def _in_our_words(reply: Completion, max_tokens: int) -> Completion:
    """The reply with one of our finish reasons: earlier versions stored the server's own word for it."""
    if reply.finish_reason in FINISH_REASONS:
        return reply
    with contextlib.suppress(UnknownFinishReason):
        reason = said_reason(reply.finish_reason)
        written = reply.completion_tokens or None
        reason = reason or unsaid_reason(reply.text, bool(reply.tool_calls), written, max_tokens)
        return replace(reply, finish_reason=reason)
    return reply


async def _complete(model: Completer, request: Request, draws: Draws, turn: int, calls: Calls) -> Completion:
    """The completion, stored as a call unless it depends on the server's settings.

    Raises:
        QuestionRefused: the server's rules of content refused the prompt, or kept the reply back.
        ContextLengthExceeded, ModelUnavailable: as the model's client.
    """

    def key_in(rollout_id: str) -> str:
        # The rollout's identity is part of the key: questions about different images can have the very same words, and
        # each needs draws of its own.
        return content_hash(
            ["model", rollout_id, model.fingerprint, request.messages, request.temperature, request.top_p,
             request.max_tokens, list(request.stop), request.extra, turn]
        )  # fmt: skip

    key, former_id = key_in(draws.rollout_id), draws.former_id
    former = None if former_id is None else (former_id, key_in(former_id))

    async def make() -> dict[str, Any]:
        reply = await model.complete(replace(request, id=key))
        if reply.finish_reason == "length" and 0 < reply.completion_tokens < request.max_tokens:
            raise _CutByTheServer(reply)
        return vars(reply)

    try:
        stored = await calls.once(draws.rollout_id, "model", key, make, former)
        reply = _in_our_words(Completion(**stored), request.max_tokens)
    except _CutByTheServer as cut:
        return cut.reply
    if reply.finish_reason == "filtered":
        raise QuestionRefused("the reply was kept back (finish_reason content_filter, refusal or the like)")
    return reply


async def _take_turns(turns: Turns, model: Completer, user: ToolUser, draws: Draws, calls: Calls) -> StopReason:
    """Add turn after turn until the attempt ends, and return why it ended."""
    while (stop := turns.over()) is None:
        turn, request = turns.requests, turns.next_request()
        reply = await _complete(model, request, draws, turn, calls)
        if (stop := turns.add(reply, request.max_tokens)) is not None:
            return stop
        for call in turns.messages[-1].tool_calls:
            turns.add_result(ExecutedCall(call=call, result=await user.call(call)))
    return stop


async def _take_draw(
    turns: Turns, model: Completer, user: ToolUser, draws: Draws, calls: Calls
) -> tuple[StopReason, str, bool]:
    """Why a draw ended, what was said of it if it failed, and whether it is given up for another one."""
    try:
        stop = await _take_turns(turns, model, user, draws, calls)
        return stop, turns.lost, False
    except ModelOutage:
        raise
    except NotRepeatable as error:
        return "unfinished", f"{ToolInfrastructureError.__name__}: {error}", await draws.give_up(str(error))
    except ContextLengthExceeded as error:
        return "context_length", str(error), False
    except QuestionRefused as error:
        return "refused", str(error), False
    except (ModelUnavailable, ToolInfrastructureError) as error:
        return "unfinished", f"{type(error).__name__}: {error}", False
    finally:
        await user.close()


async def attempt(
    question: Question,
    prompt: Sequence[Message],
    setting: Setting,
    sample: int,
    model: Completer,
    calls: Calls,
) -> Rollout:
    """Roll the model out once. Faults of the server or of a tool leave the rollout `unfinished`, never wrong.

    If a session cannot be brought back to the state that the model has read of, the attempt is begun anew, as the same
    sample (rollouts/redraws.py).

    Raises:
        ModelOutage: no call gets through to the model at all, so other attempts would fail too.
    """
    # the prompt's images enter the fingerprint by hash, never as bytes
    prompt_fingerprint = content_hash([setting.dialect.name, [hashed(m) for m in prompt], setting.sees_images])
    sampling, versions = sampling_identity(setting.sampling), setting.tool_versions()
    former = [question.question_id, setting.arm, model.fingerprint, prompt_fingerprint, sampling, versions, sample,
              *([setting.prompt_template] if setting.prefilled else [])]  # fmt: skip
    draws = Draws([*former, {"version": VERSION}], former, calls)
    seed = session_seed(question.question_id, setting.arm, sample)
    again = True
    while again:
        turns = Turns(setting, prompt)
        user = ToolUser(setting.tools, question.images, calls, draws.rollout_id, seed, draws.former_id)
        stop, error_class, again = await _take_draw(turns, model, user, draws, calls)
    return Rollout(
        rollout_id=draws.rollout_id,
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
        seed=seed if setting.tools else None,
        redraws=draws.redraws,
    )
