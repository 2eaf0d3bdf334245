"""Which of the teacher's rollouts become cold-start trajectories. A module of this folder offers checks.

A check is a function with the decorator `check`, which gives it the name that a recipe lists under `cold_start.checks`.
A new check is one new file here; modules with a leading underscore are private to the module beside them.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from records.identity import content_hash, hashed
from records.plugins import get_module, module_names
from records.question import Question, Reject
from records.recipe.section import RecipeError
from records.trajectory import Rollout, Trajectory

STAGE = "trajectories"


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
    gathered: Mapping[str, Any] = field(default_factory=dict)
    """What was gathered for the checks, by the name of the need. A need that could not be met is missing."""


@dataclass(frozen=True)
class Check:
    """One check of a trajectory."""

    name: str
    function: Callable[[Candidate], Finding]
    needs: frozenset[str] = frozenset()
    """Names of what `gather` must have added to a candidate before the check is made."""

    def __call__(self, candidate: Candidate) -> Finding:
        return self.function(candidate)


Gatherer = Callable[[Sequence[Candidate]], Mapping[str, Any]]
"""A function that meets one need: what it finds, by rollout_id. A candidate that it finds nothing for is left out."""


def check(name: str, needs: Sequence[str] | set[str] = ()) -> Callable[[Callable[[Candidate], Finding]], Check]:
    """Make a function a check.

    Args:
        name: as recipes list it.
        needs: names of what must be gathered for it, as the keys of `Candidate.gathered`.
    """
    return lambda function: Check(name, function, frozenset(needs))


def known_checks() -> dict[str, Check]:
    """All checks by name, in the order of the modules and of the definitions in each.

    Raises:
        ValueError: two checks have one name.
    """
    found: dict[str, Check] = {}
    for name in module_names(__name__):
        for value in vars(get_module(__name__, name, "module of checks")).values():
            if isinstance(value, Check) and found.setdefault(value.name, value) is not value:
                raise ValueError(f"filters/trajectories/{name}.py: there is another check {value.name!r}")
    return found


def get_checks(names: Sequence[str]) -> list[Check]:
    """The checks with these names, in their order.

    Raises:
        RecipeError: for a name that no check has.
    """
    known = known_checks()
    for name in names:
        if name not in known:
            raise RecipeError(f"cold_start.checks: there is no check {name!r}; known: {', '.join(known)}")
    return [known[name] for name in names]


def gather(candidates: Sequence[Candidate], names: Sequence[str], gatherers: Mapping[str, Gatherer]) -> list[Candidate]:
    """The candidates with what the named checks need.

    Each need is met only for candidates that pass all checks that can already be made: a replay costs more than a look
    at the answer.

    Args:
        gatherers: one per need that can be met, by its name.

    Raises:
        ValueError: a check needs what no gatherer meets.
    """
    checks = get_checks(names)
    needs = list(dict.fromkeys(need for each in checks for need in sorted(each.needs)))
    if unmet := [need for need in needs if need not in gatherers]:
        raise ValueError(f"cold_start.checks: nothing gathers {', '.join(unmet)}; known: {', '.join(gatherers)}")
    found = list(candidates)
    met: set[str] = set()
    for need in needs:
        possible = [each for each in checks if each.needs <= met]
        passed = [candidate for candidate in found if first_failure(candidate, possible)[0] is None]
        new = gatherers[need](passed)
        found = [
            replace(candidate, gathered={**candidate.gathered, need: new[candidate.rollout.rollout_id]})
            if candidate.rollout.rollout_id in new
            else candidate
            for candidate in found
        ]
        met.add(need)
    return found


def first_failure(candidate: Candidate, checks: Sequence[Check]) -> tuple[Finding | None, dict[str, str]]:
    """The first check that fails (None if all pass), and what each check made so far has found."""
    record = {}
    for each in checks:
        finding = each(candidate)
        record[each.name] = finding.detail
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
        seed=rollout.seed,
    )
