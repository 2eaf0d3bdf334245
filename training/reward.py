"""The reward of a rollout: the verdict that curated the data, plus a small term for form.

    reward = 0.8 * accuracy + 0.2 * form                                 (DeepEyesV2's weights, arXiv 2511.05271)

accuracy: 1 if `verdicts.rules.judge` finds the final answer right, else 0. form: 1 if every turn but the last calls
a tool that was offered, the last gives an answer, and every <think> is closed, else 0. Only the model's own turns are
read: a tag or an answer inside an observation is never the model's. There is no reward for calling a tool.

Turns are the model's text with the tags that ended them. An open tag counts as what it is: unfinished.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

from records.question import Question
from records.trajectory import Block, Message
from rollouts.dialects import Dialect, ToolSpec, get_dialect
from rollouts.models.contract import Completion
from verdicts.rules import judge

ACCURACY_WEIGHT = 0.8
FORM_WEIGHT = 0.2

_CONTROL = r"(?:<\|[A-Za-z0-9_]+\|>)?"
_MARK = "\x00"


@dataclass(frozen=True)
class NamedTool:
    """As much of a tool as it takes to read a turn."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=lambda: {"properties": {"input": {}}})


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
    specs = cast("list[ToolSpec]", [NamedTool(name) for name in tools])
    # "length": nothing here was cut by a stop string, so a tag left open is not an action.
    messages = [dialect.read(Completion(turn, "length", 0, 0, 0.0), specs) for turn in turns]
    answer = messages[-1].answer if messages else None
    verdict = judge(answer, question)
    offered = set(tools)
    called = all(m.tool_calls and all(c.name in offered for c in m.tool_calls) for m in messages[:-1])
    closed = all(turn.count("<think>") == turn.count("</think>") for turn in turns)
    form = called and closed and bool(answer and answer.strip())
    return Score(float(verdict.correct), float(form), verdict.how)


@lru_cache(maxsize=32)
def _frames(dialect: Dialect, tools: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Patterns for: a whole observation between two of the model's turns; its end; an observation that ends a text."""
    begins, ends = set(), set()
    for name in tools or ("",):
        for images in ([], [Block(type="image", image="0")]):
            shown = Message(role="tool", name=name, content=[*images, Block(type="text", text=_MARK)])
            begin, _, end = dialect.observation_text(shown).partition(_MARK)
            begins.add(re.escape(begin))
            ends.add(re.escape(end).replace("1", r"\d+") if images else re.escape(end))
    begin, end = "|".join(sorted(begins)), "|".join(sorted(ends, key=len, reverse=True))
    user = rf"\s*{_CONTROL}\s*{_CONTROL}user\s*{_CONTROL}\s*"
    assistant = rf"\s*{_CONTROL}\s*{_CONTROL}assistant{_CONTROL}\n+"
    whole = re.compile(rf"{user}(?:{begin}).*?(?:{end}){assistant}", re.DOTALL)
    return whole, re.compile(rf"(?:{end}){assistant}"), re.compile(rf"(?:{end})\s*{_CONTROL}\s*$")


def model_turns(text: str, dialect: Dialect, tools: Sequence[str]) -> list[str]:
    """The model's turns in a decoded response in which observations stand between role names.

    The last turn is what follows the last observation, so that an observation that imitates a turn of the model is
    never taken for its answer; a response that ends in an observation has no last turn (an empty text).
    """
    whole, end, trailing = _frames(dialect, tuple(tools))
    if not (found := list(end.finditer(text))):
        return [text]
    earlier, last = text[: found[-1].end()], text[found[-1].end() :]
    if trailing.search(last):
        last = ""
    turns = [turn for turn in whole.split(earlier) if turn.strip()]
    return [*turns, re.sub(rf"\s*{_CONTROL}\s*$", "", last)]


def trl_reward(
    completions: Sequence[Any],
    question: Sequence[str],
    dialect: Sequence[str],
    tools: Sequence[str],
    turns: Sequence[str | None] | None = None,
    **_: Any,
) -> list[float | None]:
    """A reward function for TRL's GRPOTrainer over the columns that the trl_prompts format writes.

    Args:
        completions: texts or conversations, as TRL passes them.
        turns: JSON lists of the model's turns, from our rollout function; None for a rollout that infrastructure cut
            off, which gets no reward (TRL then leaves it out of the group's mean).
    """
    rewards: list[float | None] = []
    for position, completion in enumerate(completions):
        spoken = get_dialect(dialect[position])
        offered = json.loads(tools[position])
        if turns is not None:
            if (said := turns[position]) is None:
                rewards.append(None)
                continue
            own = json.loads(said)
        elif isinstance(completion, str):
            own = model_turns(completion, spoken, offered)
        else:
            texts = [turn["content"] for turn in completion if turn["role"] == "assistant"]
            own = model_turns(texts[0], spoken, offered) if len(texts) == 1 else texts
        rewards.append(score(own, Question.model_validate_json(question[position]), spoken, offered).reward)
    return rewards


def compute_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: dict[str, Any] | None = None, **_: Any
) -> float:
    """verl's custom reward function over the rows that the verl_parquet format writes.

    An agent loop that returns the model's turns in its extra fields, as `model_turns` (a list of texts), is scored on
    exactly those; otherwise they are found in the decoded response.

    Raises:
        ValueError: the row is not one of ours, or its ground truth is not its question's answer.
    """
    if not extra_info or "question" not in extra_info:
        raise ValueError(f"{data_source}: extra_info holds no question: not a row of the verl_parquet format")
    question = Question.model_validate_json(extra_info["question"])
    if ground_truth != question.answer:
        raise ValueError(f"{data_source}: ground_truth {ground_truth!r} is not the answer {question.answer!r}")
    dialect, tools = get_dialect(extra_info["dialect"]), json.loads(extra_info["tools"])
    turns = extra_info.get("model_turns")
    if turns is None:
        turns = model_turns(solution_str, dialect, tools)
    return score(list(turns), question, dialect, tools).reward
