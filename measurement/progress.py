"""How far an arm is: what the ledger holds of it, and what is missing for its decisions.

The same figures plan a materialization before anything is spent, say which questions a run continues with, and choose
the rollouts that a finished stage hands on.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat

import polars as pl

from filters.difficulty.progress import progress
from measurement.arms import Arm
from measurement.prepared_arm import PreparedArm
from measurement.verdicts import Rejudged, said, with_current_verdicts
from records.identity import canonical_json
from records.question import Question
from records.tables import from_frame
from rollouts.ledger.ledger import Ledger
from rollouts.setting import sampling_identity
from rollouts.waves import OpenQuestion, Prefilled

INDEX = [
    "rollout_id", "question_id", "arm", "setting", "sample_index", "stop_reason", "correct", "verdict", "judged_with",
    "prompt_tokens", "completion_tokens", "seconds", "redraws", "time",
]  # fmt: skip
PARTS = {"model_fingerprint": "model", "prompt_template": "prompt", "sampling": "sampling", "tool_versions": "tools"}
"""What a setting is made of, and how a changed part is called."""
SLICE_QUESTIONS = 500
"""How many questions are in memory while they wait to be asked."""


class LedgerSnapshot:
    """What the ledger holds at one moment, read once for all arms.

    Args:
        note: is told which verdicts changed, where stored answers are judged again.
    """

    def __init__(self, ledger: Ledger, note: Callable[[Rejudged], None] = said) -> None:
        self.ledger, self.note = ledger, note

    @cached_property
    def rollouts(self) -> pl.DataFrame:
        """INDEX of every finished rollout."""
        return self.ledger.select(INDEX, pl.lit(True))

    @cached_property
    def parts(self) -> pl.DataFrame:
        """What each setting is made of: setting and PARTS."""
        return self.ledger.distinct(["setting", *PARTS])


@dataclass(frozen=True)
class ArmProgress:
    """How far one arm is over one table of questions."""

    prepared: PreparedArm
    settings: pl.DataFrame
    """The setting of each task, and of each evidence that is shown: task, aid, setting (fingerprint), and PARTS."""
    questions: pl.DataFrame
    """One row per question that the arm can ask, in the order of the table: question_id, task, setting, weight, wanted,
    what filters.difficulty.progress.progress says, missing (samples of the next wave, or of those wanted, that are not
    there), known_samples and known_correct."""
    tokens: pl.DataFrame
    """Means over stored rollouts in the same settings, of any sample: setting, tokens (read and written), rows."""
    rollouts: pl.DataFrame
    """The ledger's rows of this arm (INDEX, sample_index from 0), in the order of the questions and samples."""

    @property
    def arm(self) -> Arm:
        """The arm."""
        return self.prepared.arm

    @property
    def former_settings(self) -> list[str]:
        """The settings as the first version called them: what is stored in them is read again, not made again."""
        rows = self.settings.select("task", "aid", "model_fingerprint").iter_rows()
        return [self.prepared.setting(task, aid).fingerprint(model, version=1) for task, aid, model in rows]

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


def arm_progress(prepared: PreparedArm, snapshot: LedgerSnapshot, model: str, questions: pl.DataFrame) -> ArmProgress:
    """Read from the ledger how far an arm is; makes no call.

    Args:
        model: fingerprint of the arm's model.
        questions: a table of questions; a column `weight` (0 to 1, 1 if absent) says how likely each is to be asked,
            and for arms with a fixed number of samples a column `wanted` how many (those of the rule if absent).
    """
    arm, named = prepared.arm, questions.columns
    questions = prepared.askable(questions)
    settings = _settings(prepared, model, questions)
    weight = pl.col("weight") if "weight" in named else pl.lit(1.0).alias("weight")
    wanted = pl.col("wanted").cast(pl.Int64) if "wanted" in named else pl.lit(arm.rule.samples).alias("wanted")
    asked = (
        questions.select("question_id", "task", "aid", weight, wanted)
        .join(settings.select("task", "aid", "setting"), on=["task", "aid"], how="left", maintain_order="left")
        .drop("aid")
        .with_row_index("position")
    )
    stored = snapshot.rollouts.filter(pl.col("setting").is_in(settings["setting"].implode()))
    tokens = stored.group_by("setting").agg(
        tokens=(pl.col("prompt_tokens") + pl.col("completion_tokens")).mean(), rows=pl.len()
    )
    counted = _counted(arm, stored, asked)
    rollouts = with_current_verdicts(snapshot.ledger, counted, questions, note=snapshot.note)
    return ArmProgress(prepared, settings, _per_question(arm, asked, rollouts), tokens, rollouts)


def _counted(arm: Arm, stored: pl.DataFrame, asked: pl.DataFrame) -> pl.DataFrame:
    """The stored rollouts that count, each sample once, in the order of the questions."""
    inside = stored.with_columns(pl.col("sample_index") - arm.first_sample).filter(
        pl.col("sample_index").is_between(0, arm.counted_samples - 1)
    )
    placed = inside.join(asked.select("question_id", "setting", "position"), on=["question_id", "setting"])
    placed = placed.sort("position", "sample_index", maintain_order=True).drop("position")
    return placed.unique(["question_id", "sample_index"], keep="first", maintain_order=True)


def _per_question(arm: Arm, asked: pl.DataFrame, rollouts: pl.DataFrame) -> pl.DataFrame:
    """ArmProgress.questions."""
    reached = progress(rollouts.select("question_id", "sample_index", "correct"), arm.rule)
    known = rollouts.group_by("question_id").agg(known_samples="sample_index", known_correct="correct")
    there = rollouts.join(asked.select("question_id", "wanted"), on="question_id").filter(
        pl.col("sample_index") < pl.col("wanted")
    )
    there = there.group_by("question_id").agg(there=pl.len().cast(pl.Int64))
    # a question without any rollout is not in `progress`: its first wave is missing
    next_wave = pl.col("next_samples").fill_null(arm.rule.waves[0])
    return (
        asked.join(reached, on="question_id", how="left", maintain_order="left")
        .join(known, on="question_id", how="left", maintain_order="left")
        .join(there, on="question_id", how="left", maintain_order="left")
        .with_columns(
            pl.col("used", "attempts", "right").fill_null(0),
            missing=pl.col("wanted") - pl.col("there").fill_null(0) if arm.fixed else next_wave,
        )
        .drop("position", "next_samples", "there")
    )


def _settings(prepared: PreparedArm, model: str, questions: pl.DataFrame) -> pl.DataFrame:
    """ArmProgress.settings."""
    sampling = canonical_json(sampling_identity(prepared.arm.sampling))
    rows = []
    for task, aid in questions.select("task", "aid").unique(maintain_order=True).iter_rows():
        setting = prepared.setting(task, aid)
        versions = canonical_json(setting.tool_versions())
        rows.append((task, aid, setting.fingerprint(model), model, setting.prompt_template, sampling, versions))
    columns = ["task", "aid", "setting", *PARTS]
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")


def open_questions(
    progress: ArmProgress,
    questions: pl.DataFrame,
    order: int,
    prefilled: Callable[[pl.Series, int], Iterator[Prefilled]] | None = None,
) -> Iterator[OpenQuestion]:
    """The questions to continue with, a slice at a time, so that memory does not grow with how many wait.

    Args:
        order: seeds their order: two runs at once on one ledger then meet in few questions, and share the work.
        prefilled: for a form that shows results of the arm with tools: gives those of each of these questions' samples
            (measurement.donors.Donors.of).
    """
    first, fixed = progress.arm.first_sample, progress.arm.fixed
    todo = progress.open.select("question_id", "known_samples", "known_correct", "wanted")
    todo = todo.sort(pl.col("question_id").hash(order))
    results = repeat(None) if prefilled is None else prefilled(todo["question_id"], first)
    for start in range(0, todo.height, SLICE_QUESTIONS):
        part = todo.slice(start, SLICE_QUESTIONS)
        rows = part.select("question_id").join(questions, on="question_id", maintain_order="left")
        known = part.select("known_samples", "known_correct", "wanted").iter_rows()
        asked = zip(from_frame(rows, Question), known, strict=True)
        for (question, (samples, correct, wanted)), given in zip(asked, results, strict=False):
            yield OpenQuestion(
                question,
                {first + s: c for s, c in zip(samples or (), correct or (), strict=True)},
                samples=wanted if fixed else None,
                prefilled=given,
            )
