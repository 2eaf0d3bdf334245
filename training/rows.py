"""Rows of a training set: conversations as the policy sees them, checked for everything that trips a trainer's loader.

A turn's text holds one `<image>` for each of its images, in order. A row that a loader would drop, mask wrongly or
misread becomes a reject with a reason, here and not in the trainer.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from records.control_tokens import OF_ALL_FAMILIES, ControlTokens
from records.images.store import ImageStore
from records.question import Question, Reject, Task
from records.trajectory import Message, Trajectory
from rollouts.dialects import Dialect
from rollouts.tools import session_seed

SplitName = Literal["train", "validation"]
SPLITS: tuple[SplitName, ...] = ("train", "validation")
PLACEHOLDER = "<image>"


@dataclass(frozen=True)
class Turn:
    """One chat turn; `images` are hashes into the image store, one for each placeholder in `text`."""

    role: str
    text: str
    images: tuple[str, ...] = ()


@dataclass(frozen=True)
class SftRow:
    """A conversation to imitate: the prompt is context (worked examples included), the completion is learnt."""

    row_id: str
    question_id: str
    task: str
    split: SplitName
    prompt: tuple[Turn, ...]
    completion: tuple[Turn, ...]


@dataclass(frozen=True)
class RlRow:
    """A question to practise on, with the prompt that the policy gets."""

    index: int
    split: SplitName
    prompt: tuple[Turn, ...]
    question: Question
    dialect: str
    tools: tuple[str, ...]

    @property
    def seed(self) -> int:
        """The seed that the tools' sessions are opened with, in every rollout of the row."""
        return session_seed(self.question.question_id)


class BadRow(ValueError):
    """A row that cannot leave; `reason` is the code to count by."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Rendering:
    """How messages become the turns of a training set."""

    dialect: Dialect
    images: ImageStore | None
    """Where images are, when the policy sees them; None when it does not, and then no image leaves."""
    tokens: ControlTokens = OF_ALL_FAMILIES
    """What must not stand in a turn's text."""

    def turns(self, messages: Sequence[Message]) -> tuple[Turn, ...]:
        """Raises BadRow as `plain_turns`."""
        try:
            return plain_turns(self.dialect.training_turns(messages, self.images), self.tokens)
        except FileNotFoundError as error:
            raise BadRow("image_missing", str(error)) from error


def plain_turns(chat: Sequence[Mapping[str, Any]], tokens: ControlTokens = OF_ALL_FAMILIES) -> tuple[Turn, ...]:
    """The chat messages that a dialect makes for training sets, as turns; image blocks become placeholders.

    Raises:
        BadRow: `placeholder_in_text`, `control_token_in_text` or `image_missing`.
    """
    turns = []
    for message in chat:
        content = message["content"]
        blocks: Sequence[Mapping[str, Any]] = (
            [{"type": "text", "text": content}] if isinstance(content, str) else content
        )
        text, hashes = "", []
        for block in blocks:
            if block["type"] == "text":
                if found := tokens.find(block["text"]):
                    raise BadRow(found[0], f"a {message['role']} turn holds the text {found[1]}")
                text += block["text"]
            else:
                data = base64.b64decode(block["image_url"]["url"].partition(",")[2])
                text += PLACEHOLDER
                hashes.append(hashlib.sha256(data).hexdigest())
        turns.append(Turn(message["role"], text, tuple(hashes)))
    return tuple(turns)


def check_alternation(turns: Sequence[Turn], last: str) -> None:
    """An optional system turn, then user and assistant in turn, up to a turn of role `last`.

    Raises:
        BadRow: `turns_not_alternating` or `empty_turn`.
    """
    rest = turns[1:] if turns and turns[0].role == "system" else turns
    for position, turn in enumerate(rest):
        wanted = ("user", "assistant")[position % 2]
        if turn.role != wanted:
            raise BadRow("turns_not_alternating", f"turn {position} is a {turn.role} turn, not a {wanted} turn")
        if not turn.text.strip():
            raise BadRow("empty_turn", f"turn {position}, a {turn.role} turn, is empty")
    if not rest or rest[-1].role != last:
        raise BadRow("turns_not_alternating", f"the last turn is not one of the role {last}")


def sft_rows(
    trajectories: Iterable[Trajectory],
    rendering: Rendering,
    split_of: Callable[[str], SplitName],
    tasks: Mapping[str, str],
    rejects: list[Reject],
) -> Iterator[SftRow]:
    """A row for each trajectory, one at a time; those that cannot leave are added to `rejects`.

    Args:
        split_of: the split of a question_id.
        tasks: question_id -> task.
    """
    for trajectory in trajectories:
        task = tasks.get(trajectory.question_id, "")
        try:
            prompt = rendering.turns(trajectory.prompt)
            completion = rendering.turns(trajectory.messages)
            check_alternation(prompt, "user")
            check_alternation((*prompt, *completion), "assistant")
        except BadRow as bad:
            where = {"row_id": trajectory.trajectory_id, "stage": "sft_training_set", "task": task}
            rejects.append(Reject(reason=bad.reason, detail=bad.detail, **where))
            continue
        split = split_of(trajectory.question_id)
        yield SftRow(trajectory.trajectory_id, trajectory.question_id, task, split, prompt, completion)


def rl_rows(
    prompts: Iterable[tuple[Question, Sequence[Message]]],
    rendering: Rendering,
    split_of: Callable[[str], SplitName],
    tools: Mapping[Task, Sequence[str]],
    rejects: list[Reject],
) -> Iterator[RlRow]:
    """A row for each question with its prompt (system, worked examples, question); see `sft_rows`.

    Args:
        tools: task -> names of the tools that its questions are offered.
    """
    for index, (question, messages) in enumerate(prompts):
        try:
            prompt = rendering.turns(messages)
            check_alternation(prompt, "user")
        except BadRow as bad:
            where = {"row_id": question.question_id, "task": question.task, "source": question.source}
            rejects.append(Reject(stage="rl_training_set", reason=bad.reason, detail=bad.detail, **where))
            continue
        split = split_of(question.question_id)
        yield RlRow(index, split, prompt, question, rendering.dialect.name, tuple(tools.get(question.task, ())))
