"""Where an arm stands: what the ledger holds of it, what is missing for its decisions, why, and what that would cost.

The same figures plan a materialization before anything is spent, say which questions a run goes on with, and choose
the rollouts that a finished stage hands on.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat

import polars as pl

from assets.resources import Workspace
from filters.difficulty.stopping import Rule, progress
from measurement.arms import Arm, askable, preparation, setting_of, with_aid
from measurement.verdicts import with_current_verdicts
from records.identity import canonical_json
from records.question import Question
from records.tables import from_frame
from records.trajectory import Message
from rollouts.ledger.ledger import Ledger
from rollouts.setting import sampling_identity
from rollouts.waves import OpenQuestion

INDEX = [
    "rollout_id", "question_id", "arm", "setting", "sample_index", "stop_reason", "correct", "verdict", "judged_with",
    "prompt_tokens", "completion_tokens", "seconds", "time",
]  # fmt: skip
PARTS = {"model_fingerprint": "model", "prompt_template": "prompt", "sampling": "sampling", "tool_versions": "tools"}
"""What a setting is made of, and how a changed part is called."""
NEW, BEGUN = "new to this arm", "begun, not decided"
CHARACTERS_A_TOKEN = 4
SLICE = 500
Given = dict[int, tuple[Message, ...]]
"""What each sample of a question is given, by its number from 0."""


class Held:
    """What the ledger holds at one moment, read once for however many arms."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    @cached_property
    def rollouts(self) -> pl.DataFrame:
        """INDEX of every finished rollout."""
        return self.ledger.select(INDEX, pl.lit(True))

    @cached_property
    def parts(self) -> pl.DataFrame:
        """What each setting is made of: setting and PARTS."""
        return self.ledger.distinct(["setting", *PARTS])


@dataclass(frozen=True)
class Standing:
    """One arm over one table of questions."""

    arm: Arm
    settings: pl.DataFrame
    """The setting of each task, and of each aid that is shown: task, aid, setting (fingerprint), and PARTS."""
    questions: pl.DataFrame
    """One row a question that the arm can be asked, in the given order: question_id, task, setting, weight, wanted,
    what filters.difficulty.stopping.progress says, missing (samples of the next wave, or of those wanted, that are not
    there), known_samples and known_correct."""
    tokens: pl.DataFrame
    """Means over stored rollouts in the same settings, of any sample: setting, tokens (read and written), rows."""
    rollouts: pl.DataFrame
    """The ledger's rows of this arm (INDEX, sample_index from 0), in the order of the questions and samples."""

    @property
    def open(self) -> pl.DataFrame:
        """The questions that more attempts are needed for."""
        return self.questions.filter(pl.col("missing") > 0)

    @property
    def used(self) -> pl.DataFrame:
        """The rollouts that count: those up to where each question's sampling stopped, or has come to; all there are
        where their number is fixed."""
        if self.arm.fixed:
            return self.rollouts
        reach = self.questions.select("question_id", "used", "missing")
        counted = self.rollouts.join(reach, on="question_id", maintain_order="left")
        inside = (pl.col("sample_index") < pl.col("used")) | (pl.col("missing") > 0)
        return counted.filter(inside).drop("used", "missing")


def standing(workspace: Workspace, held: Held, arm: Arm, model: str, questions: pl.DataFrame) -> Standing:
    """Read from the ledger where an arm stands; makes no call.

    Args:
        model: fingerprint of the arm's model.
        questions: a table of questions; a column `weight` (0 to 1, 1 if absent) says how likely each is to be asked,
            and for arms with a fixed number of samples a column `wanted` how many (those of the rule if absent).
    """
    given = questions.columns
    questions = askable(workspace, arm, questions)
    settings = _settings(workspace, arm, model, questions)
    weight = pl.col("weight") if "weight" in given else pl.lit(1.0).alias("weight")
    wanted = pl.col("wanted").cast(pl.Int64) if "wanted" in given else pl.lit(arm.rule.samples).alias("wanted")
    asked = (
        questions.select("question_id", "task", "aid", weight, wanted)
        .join(settings.select("task", "aid", "setting"), on=["task", "aid"], how="left", maintain_order="left")
        .drop("aid")
        .with_row_index("position")
    )
    rows = held.rollouts.filter(pl.col("setting").is_in(settings["setting"].implode()))
    tokens = rows.group_by("setting").agg(
        tokens=(pl.col("prompt_tokens") + pl.col("completion_tokens")).mean(), rows=pl.len()
    )
    rows = rows.with_columns(pl.col("sample_index") - arm.first_sample).filter(
        pl.col("sample_index").is_between(0, arm.counted_samples - 1)
    )
    rows = rows.join(asked.select("question_id", "setting", "position"), on=["question_id", "setting"])
    rows = (
        rows.sort("position", "sample_index", maintain_order=True)
        .drop("position")
        .unique(["question_id", "sample_index"], keep="first", maintain_order=True)
    )
    rows = with_current_verdicts(held.ledger, rows, questions)
    reached = progress(rows.select("question_id", "sample_index", "correct"), arm.rule)
    known = rows.group_by("question_id").agg(known_samples="sample_index", known_correct="correct")
    there = rows.join(asked.select("question_id", "wanted"), on="question_id").filter(
        pl.col("sample_index") < pl.col("wanted")
    )
    there = there.group_by("question_id").agg(there=pl.len().cast(pl.Int64))
    # a question without any rollout is not in `progress`: its first wave is missing
    next_wave = pl.col("next_samples").fill_null(arm.rule.waves[0])
    table = (
        asked.join(reached, on="question_id", how="left", maintain_order="left")
        .join(known, on="question_id", how="left", maintain_order="left")
        .join(there, on="question_id", how="left", maintain_order="left")
        .with_columns(
            pl.col("used", "attempts", "right").fill_null(0),
            missing=pl.col("wanted") - pl.col("there").fill_null(0) if arm.fixed else next_wave,
        )
        .drop("position", "next_samples", "there")
    )
    return Standing(arm, settings, table, tokens, rows)


def _settings(workspace: Workspace, arm: Arm, model: str, questions: pl.DataFrame) -> pl.DataFrame:
    sampling = canonical_json(sampling_identity(arm.sampling))
    of_task = {task: setting_of(workspace, arm, task) for task in questions["task"].unique(maintain_order=True)}
    rows = []
    for task, aid in questions.select("task", "aid").unique(maintain_order=True).iter_rows():
        setting = with_aid(of_task[task], aid)
        versions = canonical_json(setting.tool_versions())
        rows.append((task, aid, setting.fingerprint(model), model, setting.prompt_template, sampling, versions))
    columns = ["task", "aid", "setting", *PARTS]
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")


def open_questions(
    standing: Standing,
    questions: pl.DataFrame,
    order: int,
    given: Callable[[pl.Series], Iterator[Given]] | None = None,
) -> Iterator[OpenQuestion]:
    """The questions to go on with, a slice at a time, so that memory does not grow with how many wait.

    Args:
        order: seeds their order: two runs at once on one ledger then meet in few questions, and share the work.
        given: for the arm `result_only`: what the samples of each of these questions are given.
    """
    first, fixed = standing.arm.first_sample, standing.arm.fixed
    todo = standing.open.select("question_id", "known_samples", "known_correct", "wanted")
    todo = todo.sort(pl.col("question_id").hash(order))
    results = repeat(None) if given is None else given(todo["question_id"])
    for start in range(0, todo.height, SLICE):
        part = todo.slice(start, SLICE)
        rows = part.select("question_id").join(questions, on="question_id", maintain_order="left")
        known = part.select("known_samples", "known_correct", "wanted").iter_rows()
        asked = zip(from_frame(rows, Question), known, strict=True)
        for (question, (samples, correct, wanted)), obtained in zip(asked, results, strict=False):
            yield OpenQuestion(
                question,
                {first + s: c for s, c in zip(samples or (), correct or (), strict=True)},
                samples=wanted if fixed else None,
                prefilled=None if obtained is None else {first + s: result for s, result in obtained.items()},
            )


@dataclass(frozen=True)
class Need:
    """What an arm would still cost. Rollouts are counts, tokens are read and written ones together."""

    arm: str
    questions: int
    stored: int
    now: int
    """Rollouts that are needed whatever their outcome."""
    expected: float
    """Rollouts that will be needed, on average over outcomes."""
    most: int
    tokens: float
    """About what the expected rollouts take."""
    basis: str
    """Where the tokens a rollout come from."""
    why: pl.DataFrame
    """reason, questions, expected rollouts."""


def _more(arm: Arm, table: pl.DataFrame) -> pl.DataFrame:
    """With columns expected and most: rollouts still to be made for each question. Vectorised over distinct counts."""
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


def need(workspace: Workspace, held: Held, standing: Standing, questions: pl.DataFrame) -> Need:
    """What is missing, why, and about what it costs; makes no call."""
    arm, table = standing.arm, _more(standing.arm, standing.open)
    table = table.with_columns(expected=pl.col("expected") * pl.col("weight")).join(
        _reasons(held, standing), on="question_id", how="left", maintain_order="left"
    )
    why = table.group_by("reason").agg(questions=pl.len(), rollouts=pl.col("expected").sum()).sort("reason")
    tokens, basis = tokens_a_rollout(workspace, standing, questions)
    spent = table.join(tokens, on="task", how="left")
    return Need(
        arm=arm.name,
        questions=standing.questions.height,
        stored=standing.used.height,
        now=int(table.filter(pl.col("weight") == 1)["missing"].sum()),
        expected=float(table["expected"].sum()),
        most=int(table["most"].sum()),
        tokens=float((spent["expected"] * spent["tokens"]).sum()),
        basis=basis,
        why=why,
    )


def _reasons(held: Held, standing: Standing) -> pl.DataFrame:
    """question_id and reason, for each open question: what its last attempts in this arm had otherwise."""
    todo = standing.open
    reasons = todo.select(
        "question_id",
        "setting",
        reason=pl.when(pl.col("known_samples").list.len() > 0).then(pl.lit(BEGUN)).otherwise(pl.lit(NEW)),
    )
    fresh = reasons.filter(pl.col("reason") == NEW)
    if fresh.is_empty():
        return reasons.drop("setting")
    arm = standing.arm
    earlier = held.rollouts.filter(
        (pl.col("arm") == arm.name)
        & pl.col("sample_index").is_between(arm.first_sample, arm.first_sample + arm.rule.samples - 1)
    )
    last = earlier.select("question_id", "time", then="setting").join(fresh, on="question_id").sort("time")
    last = last.unique("question_id", keep="last").join(held.parts, left_on="then", right_on="setting")
    last = last.join(standing.settings, on="setting", suffix="_now")
    differs = [pl.when(pl.col(part) != pl.col(f"{part}_now")).then(pl.lit(name)) for part, name in PARTS.items()]
    changed = last.select(
        "question_id", changed=pl.format("changed: {}", pl.concat_str(differs, separator=", ", ignore_nulls=True))
    )
    return reasons.join(changed, on="question_id", how="left", maintain_order="left").select(
        "question_id", reason=pl.coalesce("changed", "reason")
    )


def tokens_a_rollout(workspace: Workspace, standing: Standing, questions: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """Columns task and tokens (read and written, one rollout), and what they rest on."""
    arm, stored = standing.arm, standing.settings.join(standing.tokens, on="setting")
    means = stored.group_by("task", maintain_order=True).agg(
        tokens=(pl.col("tokens") * pl.col("rows")).sum() / pl.col("rows").sum(), rows=pl.col("rows").sum()
    )
    prepare, rest = preparation(workspace, arm), []
    first = standing.questions.unique("task", keep="first", maintain_order=True)
    first = first.join(means, on="task", how="anti", maintain_order="left").select("question_id")
    for question in from_frame(first.join(questions, on="question_id", maintain_order="left"), Question):
        _, prompt = prepare(question, ())
        read = sum(len(message.text) + len(message.reasoning) for message in prompt) / CHARACTERS_A_TOKEN
        turns = arm.sampling.max_turns if arm.form in ("tools", "call_only") else 1
        written = min(turns * arm.sampling.max_tokens, arm.sampling.total_tokens or math.inf)
        rest.append((question.task, turns * read + written / 2))
    guessed = pl.DataFrame(rest, schema={"task": pl.String, "tokens": pl.Float64}, orient="row")
    basis = [f"mean of {means['rows'].sum()} stored rollouts"] if means.height else []
    if rest:
        basis.append(
            f"from the prompt's length and the limits for {', '.join(task for task, _ in rest)}: none is stored"
        )
    return pl.concat([means.select("task", "tokens"), guessed]), "; ".join(basis)
