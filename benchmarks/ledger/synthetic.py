"""A ledger of any size, as if rollouts had been made: real settings and schemas, made-up words and verdicts."""

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import yaml

from measurement import arms
from measurement.prepared_arm import PreparedArm
from measurement.toolbox import Toolbox
from records.identity import canonical_json
from records.question import Question
from records.tables import schema, to_frame
from records.trajectory import ExecutedCall, Message, Rollout, ToolCall, ToolResult, text_message
from records.workspace import Workspace
from rollouts.ledger import ledger as ledger_module
from rollouts.ledger.ledger import CALLS, ROLLOUTS, Ledger
from rollouts.models.roles import Models
from rollouts.setting import sampling_identity
from verdicts.rules import judged_with

CALLS_A_ROLLOUT = 3
LAST = "So it is 45."
A_SEGMENT = 2_000
"""Rollouts in one segment, as a busy run flushes them."""
RECIPE = {
    "name": "synthetic",
    "sources": [{"name": "sums", "loader": "reasoning_gym", "options": {"tasks": {"gcd": {}}}}],
    "models": {"policy": {"url": "http://127.0.0.1:1/v1", "model": "m", "revision": "1"}},
    "tools": {"math": ["python"]},
    "difficulty": {"samples": 8, "keep": {"min": 1, "max": 6}, "waves": [2, 2, 2, 2]},
    "tool_benefit": {"samples": 8, "controls": []},
    "selection": [{"to": "rl"}],
}


def workspace(root: Path) -> Workspace:
    """An empty workspace for the synthetic recipe."""
    (root / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    return Workspace(recipe_file=str(root / "recipe.yaml"), data=str(root / "data"))


def make_questions(count: int) -> pl.DataFrame:
    """A table of `count` math questions, a tenth of them held out."""
    number = pl.int_range(count, eager=True)
    template = Question(
        source="sums", source_row="", task="math", text="", answer="0", answer_type="number"
    )  # fmt: skip
    fixed = {name: getattr(template, name) for name in ("source", "task", "answer_type", "licence", "extra")}
    lists = {name: pl.Series([[]] * count, dtype=pl.List(pl.String)) for name in ("images", "choices", "aliases")}
    return (
        pl.DataFrame({"source_row": number.cast(pl.String), "answer": (number * 2 + 7).cast(pl.String), **lists})
        .with_columns(
            **{name: pl.lit(value) for name, value in fixed.items()},
            text=pl.format("What is {} + {}, and how would a careful clerk write it down?", number, number + 7),
            question_id=_ids("question", number),
            split=pl.when(number % 10 == 0).then(pl.lit("held_out")).otherwise(pl.lit("curation")),
        )
        .select(*schema(Question), "split")
    )


def _ids(what: str, number: pl.Series) -> pl.Series:
    """32 hex digits for each number, as content hashes have."""
    halves = [(number.cast(pl.UInt64) * 2 + half).hash(seed) for half, seed in ((0, len(what)), (1, len(what) + 1))]
    low = np.stack([half.to_numpy() for half in halves], axis=1)
    return pl.Series([row.tobytes().hex() for row in low])


def fill(place: Workspace, questions: pl.DataFrame, rollouts: int, seed: int = 0) -> int:
    """Write about `rollouts` finished rollouts of CALLS_A_ROLLOUT calls each, and return how many.

    Of the curation questions every hundredth has none, and every fiftieth only a part of its first wave. The rest have
    as many direct attempts as the rule asks for, and those it keeps have tools attempts, for as far as `rollouts` go.
    """
    ledger_module.MANY_SEGMENTS = sys.maxsize  # closing it leaves the segments as a killed run would
    random = np.random.default_rng(seed)
    recipe, model = place.recipe, Models(place).completer("policy").fingerprint
    curation = questions.filter(pl.col("split") == "curation")
    rate = random.beta(0.5, 0.5, curation.height)
    written = 0
    with Ledger(place.ledger, flush_seconds=3600) as ledger:
        for arm in (arms.direct_arm(recipe), arms.tools_arm(recipe)):
            asked = _attempts(
                curation["question_id"], rate if arm.name == "direct" else rate**0.5, random, written == 0
            )
            if arm.name == "tools":
                asked = asked.filter(pl.col("moderate"))
            asked = asked.head(rollouts - written).drop("moderate")
            example = _example(place, arm, model)
            for start in range(0, asked.height, A_SEGMENT):
                part = asked.slice(start, A_SEGMENT)
                rows = _rows(part, example, written + start, random)
                ledger.calls.append(_calls(rows, random))
                ledger.rollouts.append(rows)
            written += asked.height
    return written


def _attempts(ids: pl.Series, rate: np.ndarray, random: np.random.Generator, gaps: bool) -> pl.DataFrame:
    """question_id, sample_index, correct, moderate: eight attempts a question."""
    right = random.random((len(ids), 8)) < rate[:, None]
    several = pl.Series(((right.sum(axis=1) >= 1) & (right.sum(axis=1) <= 6)).repeat(8))
    table = pl.DataFrame(
        {
            "question_id": ids.gather(np.arange(len(ids)).repeat(8)),
            "number": np.arange(len(ids)).repeat(8),
            "sample_index": np.tile(np.arange(8), len(ids)),
            "correct": right.reshape(-1),
            "moderate": several,
        }
    )
    if gaps:
        begun = (pl.col("number") % 50 == 1) & (pl.col("sample_index") > 0)
        table = table.filter((pl.col("number") % 100 != 0) & ~begun)
    return table.drop("number")


def _example(place: Workspace, arm: arms.Arm, model: str) -> pl.DataFrame:
    """One whole rollout as a row of the ledger, to be filled in."""
    question = Question(source="s", source_row="1", task="math", text="What?", answer="4", answer_type="number")
    use, prompt = PreparedArm(arm, Toolbox(place)).prompt(question)
    call = ToolCall(name="python", arguments=json.dumps({"code": "print(sum(range(10)))\n" * 4}))
    result = ToolResult(outcome="ok", text="45\n" * 20, seconds=0.1)
    turn = Message(
        role="assistant", reasoning="First the numbers are read, then they are added. " * 4, tool_calls=[call]
    )
    rollout = Rollout(
        rollout_id="", question_id="", arm=arm.name, model_fingerprint=model, prompt_fingerprint="p" * 32,
        setting=use.fingerprint(model), prompt_template=use.prompt_template,
        sampling=canonical_json(sampling_identity(arm.sampling)),
        tool_versions=json.dumps(use.tool_versions()), sample_index=0, prompt=prompt,
        messages=[turn, text_message("tool", "45\n" * 20, name="python"), text_message("assistant", LAST)],
        answer="45", tool_calls=[ExecutedCall(call=call, result=result)], prompt_tokens=900, completion_tokens=120,
        seconds=2.5, stop_reason="answered", correct=True, verdict="number", judged_with=judged_with("number", []),
    )  # fmt: skip
    return to_frame([rollout], Rollout)


def _rows(part: pl.DataFrame, example: pl.DataFrame, first: int, random: np.random.Generator) -> pl.DataFrame:
    number = pl.int_range(first, first + part.height, eager=True)
    return (
        example.drop("question_id", "sample_index", "correct")
        .join(part, how="cross")
        .with_columns(
            rollout_id=_ids("rollout", number),
            answer=pl.Series(random.integers(0, 99_999, part.height)).cast(pl.String),
            messages=pl.col("messages").str.replace(LAST, pl.lit(_words(random, part.height, 40)), literal=True),
            time=pl.lit(1.7e9) + number,
        )
        .select(ROLLOUTS.schema.names())
    )


def _calls(rows: pl.DataFrame, random: np.random.Generator) -> pl.DataFrame:
    repeated = rows.select("rollout_id", "time").select(pl.all().repeat_by(CALLS_A_ROLLOUT).explode())
    count = repeated.height
    return repeated.with_columns(
        kind=pl.Series(["model", "tool", "model"] * rows.height),
        key=_ids("call", pl.Series(random.integers(0, 2**62, count))),
        value=pl.concat_str(pl.lit('{"finish_reason": "stop", "text": "'), _words(random, count, 30), pl.lit('"}')),
    ).select(CALLS.schema.names())


_VOCABULARY = np.array([f"w{number:x}" for number in range(5_000)])


def _words(random: np.random.Generator, rows: int, words: int) -> pl.Series:
    """Texts that do not compress to nothing."""
    drawn = _VOCABULARY[random.integers(0, len(_VOCABULARY), (rows, words))]
    return pl.Series([" ".join(row) for row in drawn])
