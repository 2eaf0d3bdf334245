"""Rows for the mappings of the text half of the published sources: the published columns and types, our own content."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


@dataclass(frozen=True)
class Expected:
    """What one row becomes."""

    text: str
    answer: str
    answer_type: str
    choices: list[str] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)
    pictures: int = 0
    source_row: str | None = None
    """None: the row's number."""


@dataclass(frozen=True)
class Case:
    """A small dataset with exactly the published columns."""

    schema: dict[str, Any]
    """Column -> type: a name such as "string" or "image", [type] for a list, {field: type} for a struct."""
    rows: list[dict[str, Any]]
    expected: list[Expected | str]
    """What each row becomes; for a reject, its reason."""
    files: dict[str, bytes] = field(default_factory=dict)
    """What lies in image_folder."""
    published_as: str = "data.parquet"
    """The file's name; its ending is the format that is published."""


def feature(kind: Any) -> Any:
    """The type in terms of `datasets`."""
    import datasets

    if isinstance(kind, dict):
        return {name: feature(inner) for name, inner in kind.items()}
    if isinstance(kind, list):
        return datasets.List(feature(kind[0]))
    return datasets.Image() if kind == "image" else datasets.Value(kind)


def rows_of(schema: dict[str, Any], *rows: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Rows given without the names of their columns."""
    return [dict(zip(schema, row, strict=True)) for row in rows]


def write_parquet(path: Path, schema: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """The rows as `datasets` writes them, with its own types in the file's metadata."""
    import datasets

    arrow = datasets.Features(feature(schema)).arrow_schema
    pq.write_table(pa.Table.from_pylist(rows, schema=arrow), path)


def renamed(schema: Any, path: tuple[str, ...]) -> Any:
    """The schema with another name for the field at the path (lists on the way add nothing to a path)."""
    if isinstance(schema, list):
        return [renamed(schema[0], path)]
    if len(path) == 1:
        return {"new name" if name == path[0] else name: kind for name, kind in schema.items()}
    return {name: renamed(kind, path[1:]) if name == path[0] else kind for name, kind in schema.items()}


_MATH = Case(
    schema={"problem": "string", "level": "string", "type": "string", "solution": "string"},
    rows=[
        {
            "problem": "What is half of $\\frac{6}{7}$?",
            "level": "Level 1",
            "type": "Prealgebra",
            "solution": "Not $\\boxed{1}$ but the half, which is $\\boxed{\\frac{3}{7}}$.",
        },
        {"problem": "Find $2^5$.", "level": "Level 2", "type": "Algebra", "solution": "It is $\\boxed{32}$"},
        {"problem": "Prove it.", "level": "Level 5", "type": "Geometry", "solution": "No answer is marked."},
    ],
    expected=[
        Expected("What is half of $\\frac{6}{7}$?", "\\frac{3}{7}", "expression"),
        Expected("Find $2^5$.", "32", "expression"),
        "empty_answer",
    ],
)

_GSM8K = Case(
    schema={"question": "string", "answer": "string"},
    rows=[
        {
            "question": "Ada has 3 bags of 400 beads and 2 more beads. How many?",
            "answer": "3*400 = <<3*400=1200>>1200\n1200 + 2 = 1202\n#### 1,202",
        },
        {"question": "A lift falls 4 floors from floor 1. Where is it?", "answer": "1 - 4 = -3\n#### -3"},
        {"question": "How many?", "answer": "Nobody knows."},
    ],
    expected=[
        Expected("Ada has 3 bags of 400 beads and 2 more beads. How many?", "1,202", "number"),
        Expected("A lift falls 4 floors from floor 1. Where is it?", "-3", "number"),
        "empty_answer",
    ],
)

_HOTPOT_SCHEMA = {
    "id": "string",
    "question": "string",
    "answer": "string",
    "type": "string",
    "level": "string",
    "supporting_facts": {"title": ["string"], "sent_id": ["int32"]},
    "context": {"title": ["string"], "sentences": [["string"]]},
}


def _hotpot(name: str, question: str, answer: str, level: str) -> dict[str, Any]:
    return {
        "id": name,
        "question": question,
        "answer": answer,
        "type": "bridge",
        "level": level,
        "supporting_facts": {"title": ["Lake"], "sent_id": [0]},
        "context": {"title": ["Lake", "Hill"], "sentences": [["It is deep."], ["It is high.", "It is old."]]},
    }


_HOTPOT_ROWS = [
    _hotpot("5a01", "Which river feeds the lake below the hill?", "the Lune", "hard"),
    _hotpot("5a02", "Are both towns in one county?", "yes", "medium"),
]
_HOTPOT_FIRST = Expected("Which river feeds the lake below the hill?", "the Lune", "short_text", source_row="5a01")
_HOTPOT_SECOND = Expected("Are both towns in one county?", "yes", "boolean", source_row="5a02")

_DAPO_BEFORE = (
    "Solve the following math problem step by step. The last line of your response should be of the form "
    "Answer: $Answer (without quotes) where $Answer is the answer to the problem.\n\n"
)
_DAPO_AFTER = '\n\nRemember to put your answer on its own line after "Answer:".'


def _dapo(problem: str, answer: str, name: str) -> dict[str, Any]:
    return {
        "data_source": "math_dapo",
        "prompt": [{"content": problem, "role": "user"}],
        "ability": "MATH",
        "reward_model": {"ground_truth": answer, "style": "rule-lighteval/MATH_v2"},
        "extra_info": {"index": name},
    }


def _coder(question: str, *steps: tuple[str, str]) -> dict[str, Any]:
    def message(role: str, blocks: list[tuple[str, str]]) -> dict[str, Any]:
        return {"role": role, "content": [{"type": kind, "content": text} for kind, text in blocks]}

    return {
        "messages": [
            message("system", [("text", "")]),
            message("user", [("text", question)]),
            message("assistant", list(steps)),
        ]
    }


_RETOOL_BEFORE = (
    "Solve the following problem step by step.\n\n*user question:*\n"
    "Answer the following Math Problem and put the answer in the format of \\boxed{answer}\n\n"
)
_RETOOL_AFTER = (
    "\n\n\nRemember to place the final answer in the last part using the format: \n"
    "<answer>\n\\boxed{'The final answer goes here.'}\n</answer>"
)


def _webseer(index: int, question: str, answer: str) -> dict[str, Any]:
    return {
        "data_source": "rag",
        "prompt": [
            {"role": "system", "content": "Search the web."},
            {"role": "user", "content": f"Question: {question}"},
        ],
        "ability": "rag",
        "reward_model": {"style": "rule", "ground_truth": answer},
        "extra_info": {
            "split": "train",
            "index": index,
            "answer": answer,
            "question": question,
            "seed": 500 + index,
            "need_tools_kwargs": True,
            "tools_kwargs": {
                "submit_answer": {"create_kwargs": {"seed": 500 + index, "ground_truth": answer}},
                "search": {"create_kwargs": {"seed": 500 + index}},
                "query_on_page": {"create_kwargs": {"seed": 500 + index}},
            },
        },
    }


_SEED = {"create_kwargs": {"seed": "int64"}}

ROWS: dict[str, Case] = {
    "gsm8k": _GSM8K,
    "gsm8k_test": _GSM8K,
    "math": _MATH,
    "math_test": _MATH,
    "hendrycks_math": _MATH,
    "hotpotqa": Case(_HOTPOT_SCHEMA, _HOTPOT_ROWS, [_HOTPOT_FIRST, _HOTPOT_SECOND]),
    "hotpotqa_dev": Case(_HOTPOT_SCHEMA, _HOTPOT_ROWS, [_HOTPOT_FIRST, _HOTPOT_SECOND]),
    "hotpotqa_hard": Case(_HOTPOT_SCHEMA, _HOTPOT_ROWS, [_HOTPOT_FIRST, "not_wanted"]),
    "mathcoder": Case(
        schema={"messages": [{"role": "string", "content": [{"type": "string", "content": "string"}]}]},
        rows=[
            _coder(
                "How many diagonals has a heptagon?",
                ("text", "Count the pairs."),
                ("code", "print(7 * 4 // 2)"),
                ("execution", "14"),
                ("text", "There are $\\boxed{14}$ of them."),
            ),
            _coder("What is the slope?", ("code", "print(2)"), ("execution", "2"), ("text", "The slope is 2.")),
        ],
        expected=[Expected("How many diagonals has a heptagon?", "14", "expression"), "empty_answer"],
        published_as="train_80k.jsonl",
    ),
    "retool_rl": Case(
        schema={
            "data_source": "string",
            "prompt": [{"content": "string", "role": "string"}],
            "ability": "string",
            "reward_model": {"ground_truth": "string", "style": "string"},
            "extra_info": {"index": "string"},
        },
        rows=[
            _dapo(f"{_DAPO_BEFORE}Let $n$ be odd.\n\nFind $n^0$.{_DAPO_AFTER}", "1", "9a9b6eb4"),
            _dapo("A problem that stands alone.", "34", "9a9b6eb5"),
        ],
        expected=[
            Expected("Let $n$ be odd.\n\nFind $n^0$.", "1", "number", source_row="9a9b6eb4"),
            Expected("A problem that stands alone.", "34", "number", source_row="9a9b6eb5"),
        ],
    ),
    "retool_sft": Case(
        schema={"messages": [{"role": "string", "content": "string"}]},
        rows=[
            {
                "messages": [
                    {
                        "role": "user",
                        "content": f"{_RETOOL_BEFORE}Sum the first 9 odd numbers.\nShow it.{_RETOOL_AFTER}",
                    },
                    {
                        "role": "assistant",
                        "content": "<code>\n```python\nprint(81)\n```\n</code>\n<interpreter>\n81\n</interpreter>\n"
                        "<answer>\n\\boxed{81}\n</answer>",
                    },
                ]
            },
            {
                "messages": [
                    {"role": "user", "content": "*user question:*\nSimplify $\\frac{2}{4}$."},
                    {"role": "assistant", "content": "<answer>\n\\boxed{\\frac{1}{2}}\n</answer>"},
                ]
            },
            {
                "messages": [
                    {"role": "user", "content": "A prompt without the mark."},
                    {"role": "assistant", "content": "<answer>\n\\boxed{1}\n</answer>"},
                ]
            },
        ],
        expected=[
            Expected("Sum the first 9 odd numbers.\nShow it.", "81", "expression"),
            Expected("Simplify $\\frac{2}{4}$.", "\\frac{1}{2}", "expression"),
            "empty_text",
        ],
    ),
    "deepmath": Case(
        schema={
            "question": "string",
            "final_answer": "string",
            "difficulty": "float64",
            "topic": "string",
            "r1_solution_1": "string",
            "r1_solution_2": "string",
            "r1_solution_3": "string",
        },
        rows=[
            {
                "question": "Evaluate \\( \\int_0^1 x \\, dx \\).",
                "final_answer": "\\dfrac{1}{2}",
                "difficulty": 5.0,
                "topic": "Mathematics -> Calculus",
                "r1_solution_1": "a",
                "r1_solution_2": "b",
                "r1_solution_3": "c",
            },
            {
                "question": "Is every group of order 4 abelian?",
                "final_answer": "Yes",
                "difficulty": 6.5,
                "topic": "Mathematics -> Algebra",
                "r1_solution_1": "a",
                "r1_solution_2": "b",
                "r1_solution_3": "c",
            },
        ],
        expected=[
            Expected("Evaluate \\( \\int_0^1 x \\, dx \\).", "\\dfrac{1}{2}", "expression"),
            Expected("Is every group of order 4 abelian?", "Yes", "expression"),
        ],
    ),
    "webseer": Case(
        schema={
            "data_source": "string",
            "prompt": [{"role": "string", "content": "string"}],
            "ability": "string",
            "reward_model": {"style": "string", "ground_truth": "string"},
            "extra_info": {
                "split": "string",
                "index": "int64",
                "answer": "string",
                "question": "string",
                "seed": "int64",
                "need_tools_kwargs": "bool",
                "tools_kwargs": {
                    "submit_answer": {"create_kwargs": {"seed": "int64", "ground_truth": "string"}},
                    "search": _SEED,
                    "query_on_page": _SEED,
                },
            },
        },
        rows=[
            _webseer(0, "Who founded the press that printed the atlas?", "Ines Vale"),
            _webseer(1, "In which year?", "1911"),
        ],
        expected=[
            Expected("Who founded the press that printed the atlas?", "Ines Vale", "short_text", source_row="0"),
            Expected("In which year?", "1911", "number", source_row="1"),
        ],
    ),
    "webshaper": Case(
        schema={"question": "string", "answer": "string"},
        rows=[
            {
                "question": "Which club did the keeper join after the cup of the town with two bridges?",
                "answer": "Rovers",
            },
            {"question": "When was the mill sold?", "answer": ""},
        ],
        expected=[
            Expected(
                "Which club did the keeper join after the cup of the town with two bridges?", "Rovers", "short_text"
            ),
            "empty_answer",
        ],
    ),
}
