"""The checks that every trajectory should pass: right, with a tool, without an error, well formed, and replayed."""

import json
from collections import Counter

from filters.trajectories import Candidate, Finding, check

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
    """The same calls in a fresh sandbox give the same outcome, text and images."""
    results = candidate.gathered.get("replay")
    if results is None:
        return Finding(False, "replay_failed", "the calls could not be made again")
    for index, (executed, again) in enumerate(zip(candidate.rollout.tool_calls, results, strict=True)):
        first = executed.result
        if (first.outcome, first.text, first.images) != (again.outcome, again.text, again.images):
            return Finding(False, "replay_differs", f"call {index + 1}: {first.text[:80]!r} became {again.text[:80]!r}")
    return Finding(True, "replay_differs", f"{len(results)} call(s) reproduced")
