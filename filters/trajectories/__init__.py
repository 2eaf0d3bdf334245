"""Which of the teacher's rollouts become cold-start trajectories. A new check is one function with `@check(name)`."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from records.identity import content_hash, hashed
from records.question import Question, Reject
from records.recipe.section import RecipeError
from records.trajectory import Rollout, ToolResult, Trajectory

STAGE = "trajectories"
MAX_ANSWER_CHARS = 300
"""Longer answers are refused, as DeepEyesV2's reward does against answers written for a lenient judge."""


@dataclass(frozen=True)
class Finding:
    """What a check found; `reason` is the reject's code when it failed."""

    ok: bool
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Candidate:
    """A rollout and what the checks may look at."""

    rollout: Rollout
    question: Question
    replayed: Sequence[ToolResult] | None = None
    """The results of the same calls in a fresh sandbox."""


Check = Callable[[Candidate], Finding]
CHECKS: dict[str, Check] = {}
NEEDS_REPLAY = "replayed"


def check(name: str) -> Callable[[Check], Check]:
    def register(function: Check) -> Check:
        CHECKS[name] = function
        return function

    return register


def get_checks(names: Sequence[str]) -> list[tuple[str, Check]]:
    """Raises RecipeError for a name that no check has."""
    for name in names:
        if name not in CHECKS:
            raise RecipeError(f"cold_start.checks: there is no check {name!r}; known: {', '.join(CHECKS)}")
    return [(name, CHECKS[name]) for name in names]


@check("right")
def right(candidate: Candidate) -> Finding:
    rollout = candidate.rollout
    reason = "unfinished" if rollout.correct is None else "wrong_answer"
    return Finding(bool(rollout.correct), reason, f"{rollout.answer!r} ({rollout.verdict or rollout.stop_reason})")


@check("uses_tool")
def uses_tool(candidate: Candidate) -> Finding:
    calls = len(candidate.rollout.tool_calls)
    return Finding(calls > 0, "no_tool_use", f"{calls} call(s)")


@check("error_free")
def error_free(candidate: Candidate) -> Finding:
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


@check("replayed")
def replayed(candidate: Candidate) -> Finding:
    """The same calls in a fresh sandbox give the same outcome, text and images."""
    if candidate.replayed is None:
        return Finding(False, "replay_failed", "the calls could not be made again")
    for index, (executed, again) in enumerate(zip(candidate.rollout.tool_calls, candidate.replayed, strict=True)):
        first = executed.result
        if (first.outcome, first.text, first.images) != (again.outcome, again.text, again.images):
            return Finding(False, "replay_differs", f"call {index + 1}: {first.text[:80]!r} became {again.text[:80]!r}")
    return Finding(True, "replay_differs", f"{len(candidate.replayed)} call(s) reproduced")


def first_failure(candidate: Candidate, checks: Sequence[tuple[str, Check]]) -> tuple[Finding | None, dict[str, str]]:
    """The first check that fails (None if all pass), and what each check made so far has found."""
    record = {}
    for name, function in checks:
        finding = function(candidate)
        record[name] = finding.detail
        if not finding.ok:
            return finding, record
    return None, record


def apply(
    candidates: Sequence[Candidate], names: Sequence[str], keep_per_question: int
) -> tuple[list[Trajectory], list[Reject]]:
    """Keep candidates that pass all checks, at most `keep_per_question` each, fewest calls and tokens first.

    Each candidate becomes one trajectory or one reject; what passes beyond the number wanted is rejected as `surplus`.
    """
    checks = get_checks(names)
    kept: list[Trajectory] = []
    rejects: list[Reject] = []
    taken: Counter[str] = Counter()

    def reject(candidate: Candidate, reason: str, detail: str) -> None:
        question = candidate.question
        rejects.append(
            Reject(row_id=candidate.rollout.rollout_id, stage=STAGE, reason=reason, detail=detail, task=question.task,
                   source=question.source)
        )  # fmt: skip

    shortest_first = sorted(
        candidates, key=lambda c: (len(c.rollout.tool_calls), c.rollout.completion_tokens, c.rollout.rollout_id)
    )
    for candidate in shortest_first:
        rollout = candidate.rollout
        failure, record = first_failure(candidate, checks)
        if failure is not None:
            reject(candidate, failure.reason, failure.detail)
        elif taken[rollout.question_id] >= keep_per_question:
            reject(candidate, "surplus", f"{keep_per_question} of this question are kept already")
        else:
            taken[rollout.question_id] += 1
            kept.append(_trajectory(candidate, record))
    return kept, rejects


def _trajectory(candidate: Candidate, record: Mapping[str, str]) -> Trajectory:
    rollout = candidate.rollout
    images = [image for message in (*rollout.prompt, *rollout.messages) for image in message.images]
    return Trajectory(
        trajectory_id=content_hash([rollout.rollout_id, [hashed(m) for m in rollout.messages]]),
        question_id=rollout.question_id,
        rollout_id=rollout.rollout_id,
        prompt=rollout.prompt,
        messages=rollout.messages,
        answer=rollout.answer or "",
        images=list(dict.fromkeys([*candidate.question.images, *images])),
        checks=json.dumps(dict(record), ensure_ascii=False),
    )
