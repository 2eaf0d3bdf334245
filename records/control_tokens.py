"""Texts that a tokenizer reads as control or media tokens, wherever they stand.

A page that holds <|im_start|>assistant would open a turn of its own inside an observation, and be trained on; a
<|image_pad|> would be counted as an image that is not there. Which texts these are is known from the tokenizer, where
there is one; otherwise from a list of the tokens of all usual model families.
"""

# ruff: noqa: RUF001 - signs that look alike are meant

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

_WORDS = (
    "im_start|im_end|endoftext|startoftext|endofprompt|endofturn|system|user|assistant|observation|tool|tools|function|"
    "start|end|channel|message|call|return|constrain|refusal|sep|pad|bos|eos|bod|eod|eot|eom|unk|mask|turn|image|video|"
    "audio|img|patch|grounding|ref|det|box|interpreter|plugin|thought|think|context|extra|untrusted|reserved"
)
# An absolute value between brackets, as in <|psi|> or <|x_1|>, is physics; the names of tokens are longer.
_PATTERNS = (
    rf"<\|/?(?:{_WORDS})(?:[_-]\d+)?\|>",
    r"<\|/?(?!(?:psi|phi|chi|rho|eta|tau|sigma|omega|alpha|beta|gamma|delta|theta|lambda)[_-])"
    r"[A-Za-z]{2,}(?:[_-][A-Za-z]{2,})+(?:[_-]\d+)?\|>",
    r"<\|(?:turn|think|channel|tool|tool_call|tool_response|image|audio|video)>|<(?:turn|channel|tool_call|tool|image)\|>",
    r"<｜[^<>｜\n]{1,60}｜>",
    r"\[/?(?:INST|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|SYSTEM_PROMPT|THINK|IMG|IMG_BREAK|IMG_END|AUDIO|"
    r"gMASK|sMASK|BOS|EOS|EOT)\]|<</?SYS>>",
    r"<(?:start_of_turn|end_of_turn|start_of_image|end_of_image|image_soft_token|audio_soft_token|IMG_CONTEXT|sop|eop|"
    r"bos|eos|pad|unk|s|/s|/?image_id|fim_(?:prefix|middle|suffix|pad)|file_sep|repo_name|[A-Z_]{2,}_TOKEN)>",
    r"\]~b\]|\[e~\[|\]~!b\[",
)
_FAMILIES = re.compile("|".join(_PATTERNS))
_MEDIA = re.compile(r"<(?:image|video|audio)>")
_SUSPICIOUS = re.compile(r"<[^\s<>][^<>\n]{0,80}>|\[[^\s\[\]]{1,40}\]|[\[\]]~")

PLACEHOLDER, CONTROL = "placeholder_in_text", "control_token_in_text"
"""The reasons for which a text is refused."""


@dataclass(frozen=True)
class ControlTokens:
    """What must not stand in a text."""

    pattern: re.Pattern[str]
    """The control and media tokens."""
    known_from: str
    """What tells which they are."""

    def find(self, text: str) -> tuple[str, str] | None:
        """The reason for which a text cannot be handed to a trainer, and the part of it; None for a plain text."""
        if found := _MEDIA.search(text):  # trainers' loaders count these as media, whatever the tokenizer
            return PLACEHOLDER, found[0]
        if found := self.pattern.search(text):
            return CONTROL, found[0]
        return None


OF_ALL_FAMILIES = ControlTokens(_FAMILIES, "a list of the usual model families' tokens")
"""The tokens to look for where no tokenizer is known."""


def is_suspicious(text: str) -> bool:
    """Whether a text holds anything that may be a token of some tokenizer."""
    return _SUSPICIOUS.search(text) is not None or _FAMILIES.search(text) is not None


def control_tokens(tokenizer: Path | str | None) -> ControlTokens:
    """The tokens that a tokenizer's folder names as special, and the marks of turns in its chat template; the tokens of
    all families without a folder, or for one that names none."""
    return OF_ALL_FAMILIES if tokenizer is None else _of_folder(str(tokenizer))


@lru_cache(maxsize=8)
def _of_folder(folder: str) -> ControlTokens:
    path = Path(folder)
    special: set[str] = set()
    added: list[str] = []
    for token, is_special in _named(path):
        (special.add if is_special else added.append)(token)
    # What is not special, such as <think>, is left to the dialects, unless it is a control token of some family.
    texts = "\n".join([*added, *_templates(path)])
    tokens = special | {found[0] for found in _FAMILIES.finditer(texts)}
    # A model may pad with "!" or a word; only what is made to be no text is refused.
    tokens = {token for token in tokens if len(token) > 2 and not set("<>[]{}|｜").isdisjoint(token)}
    if not tokens:
        return OF_ALL_FAMILIES
    longest_first = sorted(tokens, key=lambda token: (-len(token), token))
    return ControlTokens(re.compile("|".join(map(re.escape, longest_first))), f"the tokenizer in {folder}")


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _named(folder: Path) -> Iterable[tuple[str, bool]]:
    """The tokens that a tokenizer's files list beside its vocabulary, and whether each is special."""
    for token in _read(folder / "tokenizer.json").get("added_tokens") or []:
        yield token["content"], bool(token.get("special"))
    config = _read(folder / "tokenizer_config.json")
    for token in (config.get("added_tokens_decoder") or {}).values():
        yield token["content"], bool(token.get("special"))
    for listed in (config, _read(folder / "special_tokens_map.json")):
        for key, value in listed.items():
            if key.endswith("_token") or key.endswith("_special_tokens"):
                for token in value if isinstance(value, list) else [value]:
                    yield str(token.get("content") if isinstance(token, dict) else token), True
    for token in _read(folder / "tekken.json").get("special_tokens") or []:
        yield token["token_str"], True


def _templates(folder: Path) -> Iterable[str]:
    """The chat templates of a tokenizer."""
    given = _read(folder / "tokenizer_config.json").get("chat_template")
    listed = given if isinstance(given, list) else [{"template": given}]
    yield from (item["template"] for item in listed if isinstance(item, dict) and isinstance(item.get("template"), str))
    for name in ("chat_template.jinja", "chat_template.json"):
        if (folder / name).is_file():
            yield (folder / name).read_text(encoding="utf-8", errors="replace")
