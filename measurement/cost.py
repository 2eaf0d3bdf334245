"""What an arm would still cost: how many rollouts are missing, why, and about how many tokens they take."""

import math
from dataclasses import dataclass

import polars as pl

from filters.difficulty.stopping import Rule
from measurement.arms import Arm
from measurement.progress import PARTS, ArmProgress, LedgerSnapshot
from records.question import Question
from records.tables import from_frame

NEW = "new to this arm"
"""The reason of a question that the arm never asked."""
BEGUN = "begun, not decided"
"""The reason of a question whose attempts do not decide yet."""
REREAD = "turns are read anew: from stored calls, where the model wrote what it would write now"
"""The reason of a question whose attempts differ in nothing but the version of how turns are read."""
CHARACTERS_PER_TOKEN = 4
"""An estimate for English text and code, used where no rollout is stored."""


WHY = pl.Schema({"reason": pl.String, "questions": pl.UInt32, "rollouts": pl.Float64})


@dataclass(frozen=True)
class Cost:
    """What an arm would still cost. Rollouts are counts; tokens are read and written ones together."""

    arm: str
    questions: int
    stored: int
    needed_now: int
    """Rollouts that are needed whatever their outcome."""
    expected: float
    """Rollouts that will be needed, on average over outcomes."""
    at_most: int
    tokens: float
    """About what the expected rollouts take."""
    basis: str
    """Where the tokens per rollout come from."""
    why: pl.DataFrame
    """reason, questions, expected rollouts."""


def _still_to_make(arm: Arm, table: pl.DataFrame) -> pl.DataFrame:
    """The table with columns expected and most: rollouts still to be made per question."""
    if arm.fixed:
        return table.with_columns(most="missing", expected=pl.col("missing").cast(pl.Float64))
    rule: Rule = arm.rule
    states = table.select("attempts", "right", "used").unique()
    more = [rule.expected_more(attempts, right) for attempts, right, _ in states.iter_rows()]
    states = states.with_columns(more=pl.Series(more, dtype=pl.Float64))
    begun = pl.col("known_samples").list.len().cast(pl.Int64).fill_null(0) - pl.col("used")
    return (
        table.join(states, on=["attempts", "right", "used"], how="left", maintain_order="left")
        .with_columns(begun=begun.clip(0))
        .with_columns(
            most=rule.samples - pl.col("used") - pl.col("begun"),
            expected=pl.max_horizontal(pl.col("more") - pl.col("begun"), pl.col("missing")),
        )
        .drop("more", "begun")
    )


def cost(snapshot: LedgerSnapshot, progress: ArmProgress, questions: pl.DataFrame) -> Cost:
    """What is missing, why, and about what it costs; makes no call."""
    arm, table = progress.arm, _still_to_make(progress.arm, progress.open)
    table = table.with_columns(expected=pl.col("expected") * pl.col("weight")).join(
        _reasons(snapshot, progress), on="question_id", how="left", maintain_order="left"
    )
    why = table.group_by("reason").agg(questions=pl.len(), rollouts=pl.col("expected").sum()).sort("reason").cast(WHY)
    tokens, basis = tokens_per_rollout(progress, questions)
    spent = table.join(tokens, on="task", how="left")
    return Cost(
        arm=arm.name,
        questions=progress.questions.height,
        stored=progress.used.height,
        needed_now=int(table.filter(pl.col("weight") == 1)["missing"].sum()),
        expected=float(table["expected"].sum()),
        at_most=int(table["most"].sum()),
        tokens=float((spent["expected"] * spent["tokens"]).sum()),
        basis=basis,
        why=why,
    )


def _reasons(snapshot: LedgerSnapshot, progress: ArmProgress) -> pl.DataFrame:
    """question_id and reason, for each open question: what its last attempts in this arm had otherwise."""
    todo = progress.open
    reasons = todo.select(
        "question_id",
        "setting",
        reason=pl.when(pl.col("known_samples").list.len() > 0).then(pl.lit(BEGUN)).otherwise(pl.lit(NEW)),
    )
    fresh = reasons.filter(pl.col("reason") == NEW)
    if fresh.is_empty():
        return reasons.drop("setting")
    arm = progress.arm
    earlier = snapshot.rollouts.filter(
        (pl.col("arm") == arm.name)
        & pl.col("sample_index").is_between(arm.first_sample, arm.first_sample + arm.rule.samples - 1)
    )
    last = earlier.select("question_id", "time", then="setting").join(fresh, on="question_id").sort("time")
    last = last.unique("question_id", keep="last").join(snapshot.parts, left_on="then", right_on="setting")
    last = last.join(progress.settings, on="setting", suffix="_now")
    differs = [pl.when(pl.col(part) != pl.col(f"{part}_now")).then(pl.lit(name)) for part, name in PARTS.items()]
    named = pl.concat_str(differs, separator=", ", ignore_nulls=True)
    reread = pl.when(named == "").then(pl.lit(REREAD)).otherwise(pl.format("changed: {}", named))
    changed = last.select("question_id", changed=reread)
    return reasons.join(changed, on="question_id", how="left", maintain_order="left").select(
        "question_id", reason=pl.coalesce("changed", "reason")
    )


def tokens_per_rollout(progress: ArmProgress, questions: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """Columns task and tokens (read and written, one rollout), and what they rest on."""
    arm, stored = progress.arm, progress.settings.join(progress.tokens, on="setting")
    means = stored.group_by("task", maintain_order=True).agg(
        tokens=(pl.col("tokens") * pl.col("rows")).sum() / pl.col("rows").sum(), rows=pl.col("rows").sum()
    )
    rest = []
    first = progress.questions.unique("task", keep="first", maintain_order=True)
    first = first.join(means, on="task", how="anti", maintain_order="left").select("question_id")
    for question in from_frame(first.join(questions, on="question_id", maintain_order="left"), Question):
        _, prompt = progress.prepared.prompt(question)
        read = sum(len(message.text) + len(message.reasoning) for message in prompt) / CHARACTERS_PER_TOKEN
        turns = arm.sampling.max_turns if arm.form.offers_calls else 1
        written = min(turns * arm.sampling.max_tokens, arm.sampling.total_tokens or math.inf)
        rest.append((question.task, turns * read + written / 2))
    guessed = pl.DataFrame(rest, schema={"task": pl.String, "tokens": pl.Float64}, orient="row")
    basis = [f"mean of {means['rows'].sum()} stored rollouts"] if means.height else []
    if rest:
        basis.append(
            f"from the prompt's length and the limits for {', '.join(task for task, _ in rest)}: none is stored"
        )
    return pl.concat([means.select("task", "tokens"), guessed]), "; ".join(basis)
