"""The checks that every trajectory should pass: right, with a tool, without an error, well formed, and replayed."""

import json
from collections import Counter
from collections.abc import Sequence

from filters.trajectories import Candidate, Finding, check
from records.trajectory import ToolResult

MAX_ANSWER_CHARS = 300
"""Longer answers are refused, as DeepEyesV2's reward does against answers written for a lenient judge."""


@check("right")
def right(candidate: Candidate) -> Finding:
    """The verdict on the final answer is that it is right."""
    rollout = candidate.rollout
    reason = "unfinished" if rollout.correct is None else "wrong_answer"
    return Finding(bool(rollout.correct), reason, f"{rollout.answer!r} ({rollout.verdict or rollout.stop_reason})")


@check("uses_tool")
def uses_tool(candidate: Candidate) -> Finding:
    """The rollout calls a tool."""
    calls = len(candidate.rollout.tool_calls)
    return Finding(calls > 0, "no_tool_use", f"{calls} call(s)")


@check("error_free")
def error_free(candidate: Candidate) -> Finding:
    """Every call came back with a result and no error."""
    outcomes = Counter(executed.result.outcome for executed in candidate.rollout.tool_calls)
    bad = {name: n for name, n in outcomes.items() if name != "ok"}
    return Finding(not bad, "tool_error", json.dumps(bad or dict(outcomes)))


@check("well_formed")
def well_formed(candidate: Candidate) -> Finding:
    """Every assistant turn but the last makes a call, the last one answers, and the answer is short."""
    turns = [m for m in candidate.rollout.messages if m.role == "assistant"]
    answer = candidate.rollout.answer
    if not turns or answer is None or not answer.strip():
        return Finding(False, "malformed", "no final answer")
    if any(not turn.tool_calls for turn in turns[:-1]) or turns[-1].tool_calls:
        return Finding(False, "malformed", "a turn neither calls a tool nor answers")
    return Finding(len(answer) < MAX_ANSWER_CHARS, "malformed", f"an answer of {len(answer)} characters")


@check("replayed", needs={"replay"})
def replayed(candidate: Candidate) -> Finding:
    """The same calls in a fresh sandbox give the same outcome, text and images.

    What was gathered are the results of the calls made again, and, where they differ from the rollout's, of making them
    once more. Replays that differ from each other say that a result depends on a clock or on chance (`not_repeatable`);
    replays that agree, that it was obtained in another way than by these calls (`replay_differs`).
    """
    replays: Sequence[Sequence[ToolResult]] | None = candidate.gathered.get("replay")
    if replays is None:
        return Finding(False, "replay_failed", "the calls could not be made again")
    if not replays:
        return Finding(False, "not_repeatable", "a session could not be brought back to its state")
    record, first, last = [executed.result for executed in candidate.rollout.tool_calls], replays[0], replays[-1]
    if (at := _first_difference(record, first)) is None:
        return Finding(True, "replay_differs", f"{len(first)} call(s) reproduced")
    detail = f"call {at + 1}: {record[at].text[:80]!r} became {first[at].text[:80]!r}"
    if (at := _first_difference(first, last)) is None:
        return Finding(False, "replay_differs", detail)
    return Finding(False, "not_repeatable", f"{detail}, and made again once more: {last[at].text[:80]!r}")


def _first_difference(some: Sequence[ToolResult], others: Sequence[ToolResult]) -> int | None:
    """The index of the first result that does not read like its counterpart."""
    pairs = enumerate(zip(some, others, strict=True))
    return next((index for index, (one, other) in pairs if not one.reads_like(other)), None)
