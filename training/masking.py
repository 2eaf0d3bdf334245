"""Which tokens of a conversation are the model's own: those are learnt, all others are context.

Works with any chat template for which the tokens of a conversation begin with the tokens of its beginning; one that
rewrites earlier turns is refused, because what it trains on is not what the policy saw.
"""

from collections.abc import Mapping, Sequence
from typing import Any

IGNORED = -100
"""The label of a token that carries no loss."""


class TemplateError(ValueError):
    """The tokenizer's chat template rewrites earlier turns, or there is none."""


def template_text(tokenizer: Any, turns: Sequence[Mapping[str, Any]], open_turn: bool) -> str:
    """Turns as the chat template writes them; with `open_turn`, up to where an assistant's text begins."""
    if not tokenizer.chat_template:
        raise TemplateError("the tokenizer has no chat template")
    return tokenizer.apply_chat_template(list(turns), tokenize=False, add_generation_prompt=open_turn)


def token_ids(tokenizer: Any, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def encode(
    prompt: Sequence[Mapping[str, Any]], completion: Sequence[Mapping[str, Any]], tokenizer: Any
) -> tuple[list[int], list[int]]:
    """Token ids and labels of a conversation.

    Labels are the ids on the text of the completion's assistant turns and the token that ends each of them, and
    IGNORED on the prompt (worked examples too), on observations, and on what the template puts around turns.

    Raises:
        TemplateError: the template is not prefix-preserving.
    """
    turns = [*prompt, *completion]
    whole = template_text(tokenizer, turns, open_turn=False)
    spans: list[tuple[int, int]] = []
    for position in range(len(prompt), len(turns)):
        if turns[position]["role"] != "assistant":
            continue
        before = template_text(tokenizer, turns[:position], open_turn=True)
        after = template_text(tokenizer, turns[: position + 1], open_turn=False)
        if not (after.startswith(before) and whole.startswith(after)):
            raise TemplateError("the chat template rewrites earlier turns when later ones come")
        end = len(after)
        eos = tokenizer.eos_token
        if eos and (found := after.find(eos, len(before) + len(turns[position]["content"]))) >= 0:
            end = found + len(eos)
        spans.append((len(before), end))
    encoded = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    labels, current = [], 0
    for token, (start, stop) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
        while current < len(spans) and start >= spans[current][1]:
            current += 1
        inside = current < len(spans) and spans[current][0] <= start and stop <= spans[current][1]
        labels.append(token if inside else IGNORED)
    return encoded["input_ids"], labels
