"""The reward of a rollout: the verdict that curated the data, plus a small term for form.

    reward = 0.8 * accuracy + 0.2 * form                                 (DeepEyesV2's weights, arXiv 2511.05271)

accuracy: 1 if `verdicts.rules.judge` finds the final answer right, else 0. form: 1 if every turn but the last calls
a tool that was offered, the last gives an answer, and each thought begins its turn and is closed, else 0. Where the
chat template opens the thought, a turn begins within it, and a second <think> is out of order. Only the model's own
turns are read: a tag or an answer inside an observation is never the model's. There is no reward for calling a tool.

Turns are the model's text with the tags that ended them. An open tag counts as what it is: unfinished.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from records.question import Question
from rollouts.dialects import Dialect, ThinksInTags, get_dialect
from rollouts.models.contract import Completion
from training.turns import Frame, NamedTool, begun, frames_of, load_tokenizer, model_turns, named
from verdicts.rules import judge

__all__ = ["NamedTool", "Score", "compute_score", "model_turns", "score", "trl_reward"]

ACCURACY_WEIGHT = 0.8
FORM_WEIGHT = 0.2


@dataclass(frozen=True)
class Score:
    """A reward, and what it is made of."""

    accuracy: float
    form: float
    how: str
    """Which rule of the verdict decided."""

    @property
    def reward(self) -> float:
        return ACCURACY_WEIGHT * self.accuracy + FORM_WEIGHT * self.form


def score(turns: Sequence[str], question: Question, dialect: Dialect, tools: Sequence[str]) -> Score:
    """Score a rollout by the model's own turns, in order.

    Args:
        turns: the text of each assistant turn.
        tools: names of the tools that were offered.
    """
    specs = named(tools)
    # "length": nothing here was cut by a stop string, so a tag left open is not an action.
    messages = [dialect.read(Completion(turn, "length", 0, 0, 0.0), specs) for turn in turns]
    answer = messages[-1].answer if messages else None
    verdict = judge(answer, question)
    offered = set(tools)
    called = all(m.tool_calls and all(c.name in offered for c in m.tool_calls) for m in messages[:-1])
    tidy = not isinstance(dialect, ThinksInTags) or all(dialect.tidy_thoughts(turn, specs) for turn in turns)
    form = called and tidy and bool(answer and answer.strip())
    return Score(float(verdict.correct), float(form), verdict.how)


def _frames(tokenizer: Any) -> tuple[Frame, ...]:
    """What the chat template of a tokenizer, or of a folder or hub id, writes between turns; () without one."""
    if tokenizer is None:
        return ()
    return frames_of(load_tokenizer(tokenizer) if isinstance(tokenizer, str) else tokenizer)


def trl_reward(
    completions: Sequence[Any],
    question: Sequence[str],
    dialect: Sequence[str],
    tools: Sequence[str],
    turns: Sequence[str | None] | None = None,
    tokenizer: Any = None,
    **_: Any,
) -> list[float | None]:
    """A reward function for TRL's GRPOTrainer over the columns that the trl_prompts format writes.

    Args:
        completions: texts or conversations, as TRL passes them.
        turns: JSON lists of the model's turns, from our rollout function; None for a rollout that infrastructure cut
            off, which gets no reward (TRL then leaves it out of the group's mean).
        tokenizer: of the policy, or its folder or hub id (functools.partial sets it): its chat template tells turns
            apart in texts.

    Raises:
        UnknownTurns: a text cannot be told apart into turns.
    """
    rewards: list[float | None] = []
    frames = _frames(tokenizer)
    for position, completion in enumerate(completions):
        spoken = get_dialect(dialect[position])
        offered = json.loads(tools[position])
        if turns is not None:
            if (said := turns[position]) is None:
                rewards.append(None)
                continue
            own = json.loads(said)
        elif isinstance(completion, str):
            own = model_turns(completion, spoken, offered, frames)
        else:
            texts = [turn["content"] for turn in completion if turn["role"] == "assistant"]
            own = model_turns(texts[0], spoken, offered, frames) if len(texts) == 1 else begun(texts, frames)
        rewards.append(score(own, Question.model_validate_json(question[position]), spoken, offered).reward)
    return rewards


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: dict[str, Any] | None = None,
    tokenizer: Any = None,
    **_: Any,
) -> float:
    """verl's custom reward function over the rows that the verl_parquet format writes.

    An agent loop that returns the model's turns in its extra fields, as `model_turns` (a list of texts), is scored on
    exactly those; otherwise they are found in the decoded response (training/turns.py).

    Args:
        tokenizer: of the policy, its folder or hub id (verl: reward_kwargs): its chat template tells turns apart.

    Raises:
        ValueError: the row is not one of ours, or its ground truth is not its question's answer.
        UnknownTurns: the decoded response cannot be told apart into turns: no score would be right.
    """
    if not extra_info or "question" not in extra_info:
        raise ValueError(f"{data_source}: extra_info holds no question: not a row of the verl_parquet format")
    question = Question.model_validate_json(extra_info["question"])
    if ground_truth != question.answer:
        raise ValueError(f"{data_source}: ground_truth {ground_truth!r} is not the answer {question.answer!r}")
    dialect, tools = get_dialect(extra_info["dialect"]), json.loads(extra_info["tools"])
    turns, frames = extra_info.get("model_turns"), _frames(tokenizer)
    own = model_turns(solution_str, dialect, tools, frames) if turns is None else begun(turns, frames)
    return score(own, question, dialect, tools).reward
