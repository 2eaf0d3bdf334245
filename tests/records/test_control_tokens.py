"""What a tokenizer reads as more than text: tests/traps/exports.jsonl says which texts an export refuses, and why."""

import json
from pathlib import Path

import pytest

from records.control_tokens import OF_ALL_FAMILIES, control_tokens, is_suspicious

LINES = [
    json.loads(line) for line in (Path(__file__).parent.parent / "traps" / "exports.jsonl").read_text().splitlines()
]


def token(content: str, special: bool = True) -> dict[str, object]:
    return {"content": content, "special": special}


FILES: dict[str, dict[str, object]] = {
    "qwen": {
        "tokenizer.json": {
            "added_tokens": [
                *map(token, ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|box_start|>", "<|image_pad|>")),
                *(token(text, False) for text in ("<think>", "</think>", "<tool_call>", "</tool_call>")),
                token("<|fim_middle|>", False),
            ]
        },
        "tokenizer_config.json": {"pad_token": "!", "eos_token": "<|im_end|>"},
    },
    "llama2": {
        "special_tokens_map.json": {"bos_token": {"content": "<s>"}, "eos_token": "</s>", "unk_token": "<unk>"},
        "tokenizer_config.json": {"chat_template": "{{ bos_token + '[INST] <<SYS>>' + '<</SYS>>' + ' [/INST]' }}"},
    },
    "mistral": {"tekken.json": {"special_tokens": [{"token_str": "[IMG_BREAK]"}, {"token_str": "[INST]"}]}},
    "gemma": {
        "tokenizer_config.json": {
            "added_tokens_decoder": {
                "1": token("<end_of_turn>"),
                "2": token("<table>", False),
                "3": token("<h1>", False),
            }
        }
    },
    "own": {"tokenizer_config.json": {"additional_special_tokens": ["<|house_token|>"]}},
    "damaged": {},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that say which tokens the tokenizers of some families have."""
    root = tmp_path_factory.mktemp("tokenizers")
    for family, files in FILES.items():
        (root / family).mkdir()
        for name, content in files.items():
            (root / family / name).write_text(json.dumps(content))
    (root / "damaged" / "tokenizer.json").write_text("{")
    return root


def test_texts_are_refused_for_what_a_tokenizer_reads_in_them(folders: Path) -> None:
    wrong = []
    for line in LINES:
        known = control_tokens(folders / line["tokenizer"] if "tokenizer" in line else None)
        found = known.find(line["text"])
        if (found and found[0]) != line["rejected"]:
            wrong.append((line["text"], found, line["because"]))
        if found and not is_suspicious(line["text"]):
            wrong.append((line["text"], "the questions stage would not look at it", line["because"]))
    assert not wrong, "\n".join(map(str, wrong))


def test_a_folder_that_names_no_token_is_as_none(folders: Path) -> None:
    assert control_tokens(folders / "damaged") is OF_ALL_FAMILIES is control_tokens(folders / "nowhere")
