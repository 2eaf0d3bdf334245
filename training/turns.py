"""Finding the model's own turns in a decoded response, between which observations stand in the words of a template.

What stands between two turns is known from the tokenizer's chat template; without a tokenizer it is looked up in a
table of the usual families. Where neither tells, there is no score: a boundary that is missed would cost a right answer
after a call its reward, and tools would be trained away.
"""
# ruff: noqa: RUF001 - models write these signs

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

from records.trajectory import Block, Message
from rollouts.dialects import Dialect, ToolSpec
from rollouts.models.contract import Completion

_MARK = "\x00"
_FIRST, _SECOND = "\ue000first\ue000", "\ue000second\ue000"
_THOUGHT = re.compile(r"<think>\s*$")
_CONTROL = re.compile(r"<[^<>\s]+>|\[\|[^\[\]\s]+\|\]")
_BOTH = 2
"""Frames of a template that can be told with and without control tokens."""
_UNKNOWN = (
    "the response holds an observation, and nothing known tells where the model's turns end around it. Give "
    "`model_turns` (an agent loop knows them), or `tokenizer` (a folder or hub id) and a response decoded with its "
    "control tokens; known without: {families}"
)


@dataclass(frozen=True)
class NamedTool:
    """As much of a tool as it takes to read a turn."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=lambda: {"properties": {"input": {}}})


def named(tools: Sequence[str]) -> list[ToolSpec]:
    """Tools by their names, for reading alone."""
    return cast("list[ToolSpec]", [NamedTool(name) for name in tools])


class UnknownTurns(ValueError):
    """A response holds an observation, and nothing tells where the model's turns end and begin around it."""


@dataclass(frozen=True)
class Frame:
    """What a chat template writes between a turn of the model and an observation, and after that up to the next turn.

    Blanks at their ends are not compared: tokenizers differ in them.
    """

    before: str
    after: str
    opens_thought: bool = False
    """Whether the template begins each turn of the model with <think>."""


def _frames(*rows: tuple[str, str]) -> tuple[Frame, ...]:
    return tuple(Frame(before, after) for before, after in rows)


FAMILIES: dict[str, tuple[Frame, ...]] = {
    "ChatML (Qwen, Yi, InternLM, SmolLM, Hermes)": _frames(
        ("<|im_end|>\n<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"), ("\nuser\n", "\nassistant\n")
    ),
    "Llama 3": _frames(
        ("<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n",
         "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"),
        ("user\n\n", "assistant\n\n"),
    ),
    "Llama 4": _frames(
        ("<|eot|><|header_start|>user<|header_end|>\n\n", "<|eot|><|header_start|>assistant<|header_end|>\n\n")
    ),
    "Gemma": _frames(
        ("<end_of_turn>\n<start_of_turn>user\n", "<end_of_turn>\n<start_of_turn>model\n"),
        ("<turn|>\n<|turn>user\n", "<turn|>\n<|turn>model\n"),
        ("\nuser\n", "\nmodel\n"),
    ),
    "Mistral, Llama 2": _frames(
        ("</s>[INST]", "[/INST]"), ("</s> [INST]", "[/INST]"), ("</s><s>[INST]", "[/INST]"), ("[INST]", "[/INST]")
    ),
    "Phi 3, GLM 4": _frames(("<|end|>\n<|user|>\n", "<|end|>\n<|assistant|>\n"), ("<|user|>\n", "<|assistant|>\n")),
    "Phi 4": _frames(
        ("<|im_end|><|im_start|>user<|im_sep|>", "<|im_end|><|im_start|>assistant<|im_sep|>"), ("user", "assistant")
    ),
    "DeepSeek": _frames(
        ("<｜end▁of▁sentence｜><｜User｜>", "<｜Assistant｜>"), ("<｜User｜>", "<｜Assistant｜>"),
        ("<|end▁of▁sentence|><|User|>", "<|Assistant|>"), ("\n\nUser: ", "\n\nAssistant:"),
    ),
    "Zephyr, Falcon, OLMo": _frames(
        ("</s>\n<|user|>\n", "</s>\n<|assistant|>\n"), ("<|endoftext|>\n<|user|>\n", "\n<|assistant|>\n")
    ),
    "Command R": _frames(
        ("<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|USER_TOKEN|>",
         "<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>")
    ),
    "Granite": _frames(
        ("<|end_of_text|>\n<|start_of_role|>user<|end_of_role|>",
         "<|end_of_text|>\n<|start_of_role|>assistant<|end_of_role|>")
    ),
    "Kimi": _frames(
        ("<|im_end|><|im_user|>user<|im_middle|>", "<|im_end|><|im_assistant|>assistant<|im_middle|>")
    ),
    "EXAONE": _frames(("[|endofturn|]\n[|user|]", "[|endofturn|]\n[|assistant|]"), ("\n[|user|]", "\n[|assistant|]")),
    "Vicuna": _frames(("</s>USER: ", " ASSISTANT:"), (" USER: ", " ASSISTANT:")),
    "Alpaca": _frames(("\n\n### Instruction:\n", "\n\n### Response:\n")),
}  # fmt: skip
"""What stands around observations, by family: first with control tokens, then where decoding leaves them out. A family
whose control tokens alone tell turns apart cannot be read without them."""


def template_frame(tokenizer: Any) -> Frame:
    """What the tokenizer's own chat template writes between turns.

    Raises:
        UnknownTurns: the tokenizer has no chat template, or it writes turns otherwise than as they come.
    """
    opened = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _FIRST}]
    asked = [*opened, {"role": "user", "content": _SECOND}]
    try:
        text = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    except Exception as error:  # a template is a program of its own
        raise UnknownTurns(f"the tokenizer's chat template cannot be used: {type(error).__name__}: {error}") from error
    if text.count(_FIRST) != 1 or text.count(_SECOND) != 1 or text.index(_FIRST) > text.index(_SECOND):
        raise UnknownTurns("the tokenizer's chat template does not write turns as they come")
    between, after = text[text.index(_FIRST) + len(_FIRST) :].split(_SECOND)
    bare = _THOUGHT.sub("", after)
    return Frame(between, bare, bare != after)


@lru_cache(maxsize=8)
def load_tokenizer(name: str) -> Any:
    """The tokenizer of a folder or a hub id."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(name)


def frames_of(tokenizer: Any) -> tuple[Frame, ...]:
    """The frame of a tokenizer's template, and that of texts which were decoded without control tokens.

    Raises:
        UnknownTurns: as `template_frame`.
    """
    whole = template_frame(tokenizer)
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    special = {*getattr(tokenizer, "all_special_tokens", ()), *(str(token) for token in added if token.special)}
    longest_first = sorted(filter(None, special), key=len, reverse=True)
    left_out = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
    bare = Frame(left_out.sub("", whole.before), left_out.sub("", whole.after), whole.opens_thought)
    return (whole, bare) if bare.before.strip() and bare.after.strip() else (whole,)


@lru_cache(maxsize=32)
def _observations(dialect: Dialect, tools: tuple[str, ...]) -> tuple[str, str]:
    """Patterns of what an observation begins and ends with."""
    begins, ends = set(), set()
    for name in tools or ("",):
        for images in ([], [Block(type="image", image="0")]):
            shown = Message(role="tool", name=name, content=[*images, Block(type="text", text=_MARK)])
            begin, _, end = dialect.observation_text(shown).partition(_MARK)
            begins.add(re.escape(begin))
            ends.add(re.escape(end).replace("1", r"\d+") if images else re.escape(end))
    begin, end = "|".join(sorted(begins)), "|".join(sorted(ends, key=len, reverse=True))
    return f"(?:{begin})", f"(?:{end})"


def _loose(words: str) -> str:
    """A pattern of words with any blanks between them; a control token that ends a turn may be missing at the begin."""
    first = _CONTROL.match(words.strip())
    rest = words.strip()[first.end() if first else 0 :].strip()
    if not first or not rest:
        return r"\s*".join(map(re.escape, words.split()))
    return rf"(?:{re.escape(first.group())}\s*)?" + r"\s*".join(map(re.escape, rest.split()))


@dataclass(frozen=True)
class _Patterns:
    """What is looked for in a text of one frame."""

    opening: re.Pattern[str]
    """Where an observation begins."""
    ending: re.Pattern[str]
    """The range from where it ends to where the model's next turn begins."""
    whole: re.Pattern[str]
    """The range from one turn of the model to the next."""
    trailing: re.Pattern[str]
    """An observation's end at the end of the text."""


@lru_cache(maxsize=1024)
def _patterns(frame: Frame, begin: str, end: str) -> _Patterns:
    line = r"[ \t]*\n+" if frame.after.endswith("\n") else ""  # a role's name is a line of its own
    images = r"(?:\s|<[^<>\s]{1,40}>|\[[A-Z_]{1,20}\])*?"  # as control tokens, one or many for each
    opening, ending = rf"\s*{_loose(frame.before)}{images}{begin}", rf"{end}\s*{_loose(frame.after)}{line}"
    tokens = r"(?:<[|｜]?[^<>\s]{1,40}>|\[\|?[^\[\]\s]{1,40}\])?"
    return _Patterns(
        re.compile(opening),
        re.compile(ending),
        re.compile(f"{opening}.*?{ending}", re.DOTALL),
        re.compile(rf"{end}\s*{tokens}\s*$"),
    )


def model_turns(text: str, dialect: Dialect, tools: Sequence[str], frames: Sequence[Frame] = ()) -> list[str]:
    """The model's turns in a decoded response.

    The last turn is what follows the last observation, so that an observation that imitates a turn of the model is
    never taken for its answer; a response that ends in an observation has no last turn (an empty text).

    Args:
        tools: names of the tools that were offered.
        frames: those of the model's template (`frames_of`); those of the known families where not given.

    Raises:
        UnknownTurns: an observation follows a call, and nothing known stands around it.
    """
    begin, end = _observations(dialect, tuple(tools))
    known = frames or [frame for family in FAMILIES.values() for frame in family]
    met = []
    for frame in known:
        patterns = _patterns(frame, begin, end)
        if (opening := patterns.opening.search(text)) is not None:
            endings = [ending.end() for ending in patterns.ending.finditer(text)]
            met.append((-opening.start(), endings[-1] if endings else -1, patterns))
    if met:
        # the first observation is framed by the template, and the last one ended by it: what imitates the words of
        # other families stands between
        turns = _split(text, max(met, key=lambda place: place[:2])[2])
    else:
        if len(frames) < _BOTH and (first := re.search(begin, text)) is not None:
            specs = named(tools)
            if dialect.read(Completion(text[: first.start()], "length", 0, 0, 0.0), specs).tool_calls:
                raise UnknownTurns(_UNKNOWN.format(families="; ".join(FAMILIES)))
        turns = [text]
    return [*begun(turns[:1], frames), *turns[1:]]


def _split(text: str, patterns: _Patterns) -> list[str]:
    found = list(patterns.ending.finditer(text))
    if not found:
        opening = patterns.opening.search(text)
        return [text[: opening.start() if opening else len(text)], ""]
    earlier, last = text[: found[-1].end()], text[found[-1].end() :]
    turns = [turn for turn in patterns.whole.split(earlier) if turn.strip()]
    if (opening := patterns.opening.search(last)) is not None:
        return [*turns, last[: opening.start()], ""]
    return [*turns, "" if patterns.trailing.search(last) else last]


def begun(turns: Sequence[str], frames: Sequence[Frame]) -> list[str]:
    """Turns that a template begins with <think>, with it."""
    opens = bool(frames) and frames[0].opens_thought
    return [f"<think>{turn}" if opens else turn for turn in turns]
