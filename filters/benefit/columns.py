"""The columns of the table of tool benefits: their names, types, and what each says.

Counts are per arm: `direct_attempts`, `direct_right`. Of the first samples, which every question has whatever the
planner added to it: `direct_first_attempts`. At a look, which the table does not keep: `direct_attempts_8`.
"""

from collections.abc import Sequence

import polars as pl

ARMS = ("direct", "tools", "call_only", "result_only", "oracle")
COMPARED = ("direct", "tools")
"""The arms whose difference is the benefit; only they are looked at more than once."""
RULES = ("posterior", "exact")
"""The rules by which questions are decided; the recipe says which one is in force."""


def attempts(arm: str, look: int | None = None) -> str:
    """Attempts in an arm (samples with a verdict): all of them, or those among the first `look` samples."""
    return _counted(arm, "attempts", look)


def right(arm: str, look: int | None = None) -> str:
    """Right attempts in an arm: of all, or of those among the first `look` samples."""
    return _counted(arm, "right", look)


def first_attempts(arm: str) -> str:
    """Attempts among the first samples of an arm."""
    return f"{arm}_first_attempts"


def first_right(arm: str) -> str:
    """Right attempts among the first samples of an arm."""
    return f"{arm}_first_right"


def samples(arm: str) -> str:
    """Samples made in an arm, with or without a verdict."""
    return f"{arm}_samples"


def silent(arm: str, look: int | None = None) -> str:
    """Attempts in an arm that named no action: they count as wrong."""
    return _counted(arm, "silent", look)


def lost(arm: str, look: int | None = None) -> str:
    """Attempts in an arm whose action was lost by the server: they do not count."""
    return _counted(arm, "lost", look)


def counted_wrong(name: str) -> str:
    """What a benefit or decision is with every unreadable attempt (silent or lost) counted as wrong."""
    return f"{name}_unreadable_wrong"


def left_out(name: str) -> str:
    """What a benefit or decision is with no unreadable attempt counted."""
    return f"{name}_unreadable_left_out"


def low(name: str) -> str:
    """The lower end of the interval of a difference: benefit, habit or content."""
    return f"{name}_low"


def high(name: str) -> str:
    """The upper end of the interval of a difference."""
    return f"{name}_high"


def probability(name: str) -> str:
    """The posterior probability of a gain, a harm, or that habit or content is above the margin."""
    return f"{name}_probability"


def p_value(name: str) -> str:
    """The p-value of the exact test for a gain or a harm."""
    return f"{name}_p"


def q_value(name: str) -> str:
    """That p-value, adjusted over the table."""
    return f"{name}_q"


def decision_by(rule: str) -> str:
    """The decision by the rule `exact` or `posterior`, whichever is in force."""
    return f"decision_{rule}"


def state(arms: Sequence[str], look: int | None = None) -> list[str]:
    """The counts that a posterior depends on: attempts and right ones of each arm, in order."""
    return [name for arm in arms for name in (attempts(arm, look), right(arm, look))]


def _counted(arm: str, what: str, look: int | None) -> str:
    return f"{arm}_{what}" if look is None else f"{arm}_{what}_{look}"


def _described() -> dict[str, tuple[type[pl.DataType], str]]:
    """Type and description of each column, in the order of the table."""
    text, count, number = pl.String, pl.Int64, pl.Float64
    found: dict[str, tuple[type[pl.DataType], str]] = {
        "question_id": (text, "The question."),
        "task": (text, "Its task."),
        "source": (text, "Its source."),
        "chance": (number, "How often a guess is right, from 0 to 1."),
    }
    for arm in ARMS:
        found[attempts(arm)] = (count, f"Attempts in the arm {arm}: samples with a verdict.")
        found[right(arm)] = (count, f"Attempts in the arm {arm} that are right.")
        found[first_attempts(arm)] = (count, f"Attempts among the first samples of the arm {arm}.")
        found[first_right(arm)] = (count, f"Right attempts among the first samples of the arm {arm}.")
        if arm in COMPARED:
            found[samples(arm)] = (count, f"Samples made in the arm {arm}, with or without a verdict.")
            found[silent(arm)] = (count, f"Attempts in the arm {arm} that named no action; they count as wrong.")
            found[lost(arm)] = (count, f"Samples of the arm {arm} whose action the server lost; they do not count.")
    found["tool"] = (
        text,
        "The tool called first in most first attempts with tools; (none) where most call none.",
    )
    for arm in ARMS:
        found[arm] = (number, f"Pass rate in the arm {arm}; null without an attempt.")
    found["benefit"] = (number, "Estimate of the pass rate with tools minus that without, corrected for chance.")
    found |= _interval("benefit")
    found[probability("gain")] = (number, "Posterior probability that the benefit is above the margin.")
    found[probability("harm")] = (number, "Posterior probability that the benefit is below minus the margin.")
    found["habit"] = (number, "Estimate of what calling alone does: call_only minus direct, corrected for chance.")
    found |= _interval("habit")
    found["content"] = (number, "Estimate of what the results add: tools minus call_only, corrected for chance.")
    found |= _interval("content")
    for what in ("gain", "harm"):
        found[p_value(what)] = (number, f"The p-value of the exact test for a {what}, over all looks.")
    for what in ("gain", "harm"):
        found[q_value(what)] = (number, f"The p-value for a {what}, adjusted for the number of questions.")
    for what in ("habit", "content"):
        found[probability(what)] = (number, f"Posterior probability that {what} is above the margin.")
    for rule in ("exact", "posterior"):
        found[decision_by(rule)] = (text, f"Decision by the rule {rule}, whichever rule is in force.")
    for name, said in ((counted_wrong, "every unreadable attempt counted wrong"), (left_out, "none of them counted")):
        found[name("benefit")] = (number, f"Estimate of the benefit with {said}.")
        found[name("decision")] = (text, f"Decision with {said}.")
    found["decision"] = (
        text,
        "Gain, harm, none (no difference) or open, by the rule in force; the false discovery rate is controlled. Open "
        "too if it depends on how attempts count that could not be read.",
    )
    found["decision_error"] = (number, "Posterior probability that the decision is wrong; null where none is made.")
    found["attribution"] = (text, "Explanation of a gain: content, habit, both or unclear; null without a gain.")
    return found


def _interval(name: str) -> dict[str, tuple[type[pl.DataType], str]]:
    return {
        low(name): (pl.Float64, f"Lower end of the interval of {name}."),
        high(name): (pl.Float64, f"Upper end of the interval of {name}."),
    }


_DESCRIBED = _described()
COLUMNS: dict[str, str] = {name: description for name, (_, description) in _DESCRIBED.items()}
"""What each column says, in a sentence, in the order of the table."""
SCHEMA: dict[str, type[pl.DataType]] = {name: kind for name, (kind, _) in _DESCRIBED.items()}
"""The type of each column."""
