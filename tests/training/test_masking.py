"""Loss is on the model's own words after the prompt, and on nothing else."""

import pytest

from tests.support.training_rows import DIALECT, question, trajectory
from training.masking import IGNORED, TemplateError, encode
from training.turns import load_tokenizer


def test_only_the_completions_assistant_turns_are_learnt(tiny_policy: str) -> None:
    tokenizer = load_tokenizer(tiny_policy)
    made = trajectory(question(1))
    prompt, completion = DIALECT.training_turns(made.prompt, None), DIALECT.training_turns(made.messages, None)
    ids, labels = encode(prompt, completion, tokenizer)
    assert len(ids) == len(labels)
    assert ids == tokenizer.apply_chat_template(prompt + completion, tokenize=True, return_dict=False)
    assert all(label in (IGNORED, token) for label, token in zip(labels, ids, strict=True))
    learnt = tokenizer.decode([label for label in labels if label != IGNORED])
    said = [turn["content"] for turn in completion if turn["role"] == "assistant"]
    assert learnt == "".join(f"{text}<|im_end|>" for text in said)
    for word in ("EXAMPLE", "OBSERVED", "2 + 2", "system"):
        assert word not in learnt
        assert word in tokenizer.decode(ids)


def test_a_template_that_rewrites_history_is_refused(tiny_policy: str) -> None:
    tokenizer = load_tokenizer(tiny_policy)
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "{{ message['content'] }}", "{{ message['content'] if loop.last or message['role'] != 'assistant' else '...' }}"
    )
    made = trajectory(question(1))
    with pytest.raises(TemplateError, match="rewrites"):
        encode(DIALECT.training_turns(made.prompt, None), DIALECT.training_turns(made.messages, None), tokenizer)
