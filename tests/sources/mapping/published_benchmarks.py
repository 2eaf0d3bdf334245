"""Rows for the mappings of the evaluation benchmarks: the published columns and types, our own content."""

import base64
import io
import json
from typing import Any

from PIL import Image

from tests.sources.mapping.published_text import Case, Expected, rows_of


def _png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 32), colour).save(buffer, "PNG")
    return buffer.getvalue()


RED, BLUE = _png("red"), _png("blue")
IMAGE = {"bytes": RED, "path": None}
_BASE64 = base64.b64encode(RED).decode()

_INLINE = (
    "What is the colour of the kite?\n(A) red\n(B) light blue\n(C) white\n(D) green\nAnswer with the option's letter."
)
_SIDE = "Is the pole on the left or right side of the cart?\n(A) left\n(B) right\nAnswer with the option's letter."


def _vstar(image: Any) -> list[dict[str, Any]]:
    return [
        {"image": image, "text": _INLINE, "category": "direct_attributes", "label": "B", "question_id": "0"},
        {"image": image, "text": _SIDE, "category": "relative_position", "label": "A", "question_id": "1"},
    ]


_VSTAR = [
    Expected(
        "What is the colour of the kite?", "B", "choice", ["red", "light blue", "white", "green"], pictures=1,
        source_row="0",
    ),
    Expected(
        "Is the pole on the left or right side of the cart?", "A", "choice", ["left", "right"], pictures=1,
        source_row="1",
    ),
]  # fmt: skip
_VSTAR_SCHEMA = {"text": "string", "category": "string", "label": "string", "question_id": "string"}

_HR_SCHEMA = {
    "index": "int64",
    "question": "string",
    "answer": "string",
    "category": "string",
    **dict.fromkeys("ABCD", "string"),
    "cycle_category": "string",
    "image": "string",
}
_HR = Case(
    _HR_SCHEMA,
    rows_of(
        _HR_SCHEMA,
        (7, "What number is on the boat?", "C", "single", "12", "21", "72", "27", "cycle_1", _BASE64),
        (8, "Which is nearer?", "A", "cross", "The dog", "The cat", None, None, "cycle_0", _BASE64),
        (9, "What is this?", "A", "cross", "a", "b", "c", "d", "cycle_0", ""),
    ),
    [
        Expected("What number is on the boat?", "C", "choice", ["12", "21", "72", "27"], pictures=1, source_row="7"),
        Expected("Which is nearer?", "A", "choice", ["The dog", "The cat"], pictures=1, source_row="8"),
        "image_missing",
    ],
)

_MME_SCHEMA = {
    "index": "string",
    "bytes": "string",
    "path": "string",
    "question": "string",
    "multi-choice options": ["string"],
    "answer": "string",
    "category": "string",
    "l2-category": "string",
}
_SHIPS = ["(A) 3", "(B) 4", "(C) 5", "(D) 6", "(E) The image does not show it"]
_MME = Case(
    _MME_SCHEMA,
    rows_of(
        _MME_SCHEMA,
        ("17", _BASE64, "remote/1.png", "How many ships?", _SHIPS, "B", "Perception/Remote Sensing", "count"),
    ),
    [Expected("How many ships?", "B", "choice", [s[4:] for s in _SHIPS], pictures=1, source_row="17")],
)

_VISTA_SCHEMA = {
    "pid": "string",
    "question": "string",
    "image": "string",
    "decoded_image": "image",
    "choices": ["string"],
    "unit": "string",
    "precision": "float64",
    "answer": "string",
    "question_type": "string",
    "answer_type": "string",
    "metadata": {
        "category": "string",
        "context": "string",
        "grade": "string",
        "img_height": "int64",
        "img_width": "int64",
        "language": "string",
        "skills": ["string"],
        "source": "string",
        "split": "string",
        "task": "string",
    },
    "query": "string",
}


def _vista(pid: str, question: str, answer: str, choices: list[str] | None) -> dict[str, Any]:
    return {
        "pid": pid,
        "question": question,
        "image": f"images/{pid}.jpg",
        "decoded_image": IMAGE,
        "choices": choices,
        "unit": None,
        "precision": 1.0,
        "answer": answer,
        "question_type": "multi_choice" if choices else "free_form",
        "answer_type": "text",
        "metadata": {
            "category": "general-vqa",
            "context": "natural image",
            "grade": "daily life",
            "img_height": 32,
            "img_width": 40,
            "language": "english",
            "skills": ["numeric commonsense"],
            "source": "own",
            "split": "testmini",
            "task": "figure question answering",
        },
        "query": f"Hint: answer.\nQuestion: {question}",
    }


_VERSE_PROBLEM = "As shown, angle A is 70 degrees. How large is angle B?"


def _verse(index: str, version: str, question: str, full: str, answer: str, kind: str) -> dict[str, Any]:
    return {
        "sample_index": index,
        "problem_index": "1",
        "problem_version": version,
        "question": question,
        "image": IMAGE,
        "answer": answer,
        "question_type": kind,
        "metadata": {"split": "testmini", "source": "own", "subject": "Plane Geometry", "subfield": "Angle"},
        "query_wo": f"Please answer directly.\n{question}",
        "query_cot": f"Please reason first.\n{question}",
        "question_for_eval": full,
    }


_CHARXIV_SCHEMA = {
    "category": "string",
    "year": "string",
    "original_figure_path": "string",
    "original_id": "string",
    "figure_path": "string",
    "num_subplots": "int64",
    "subplot_row": "int64",
    "subplot_col": "int64",
    "subplot_loc": "string",
    "descriptive_q1": "int64",
    "descriptive_q2": "int64",
    "descriptive_q3": "int64",
    "descriptive_q4": "int64",
    "descriptive_a1": "string",
    "descriptive_a2": "string",
    "descriptive_a3": "string",
    "descriptive_a4": "string",
    "reasoning_q_source": "int64",
    "reasoning_q": "string",
    "reasoning_a_type": "int64",
    "reasoning_a": "string",
    "image": "image",
}


def _charxiv(answer: str | None) -> dict[str, Any]:
    row = {name: 1 if kind == "int64" else "x" for name, kind in _CHARXIV_SCHEMA.items()}
    row |= {"figure_path": "images/0.jpg", "image": IMAGE, "reasoning_a": answer}
    return row | {"reasoning_q": "Which curve crosses zero first?", "category": "cs", "subplot_loc": None}


_DYNAMATH_SCHEMA = {
    "id": "string",
    "question": "string",
    "image": "string",
    "decoded_image": "image",
    "ground_truth": "string",
    "answer_type": "string",
    "subject": "string",
    "knowledge_level": "string",
}
_FVQA_SCHEMA = {
    "data_id": "string",
    "prompt": [{"role": "string", "content": "string"}],
    "images": [{"bytes": "binary"}],
    "reward_model": {"style": "string", "ground_truth": "string", "candidate_answers": "string"},
    "data_source": "string",
    "image_urls": ["string"],
    "category": "string",
}


def _fvqa(name: str, question: str, answer: str, others: list[str]) -> dict[str, Any]:
    return {
        "data_id": name,
        "prompt": [{"role": "user", "content": question}],
        "images": [{"bytes": RED}],
        "reward_model": {"style": "rule", "ground_truth": answer, "candidate_answers": json.dumps(others)},
        "data_source": "mmsearch_r1/fvqa_test",
        "image_urls": None,
        "category": "search_required",
    }


_MMSEARCH_SCHEMA = {
    "sample_id": "string",
    "query": "string",
    "query_image": "image",
    "image_search_result": "image",
    "area": "string",
    "subfield": "string",
    "timestamp": "string",
    "gt_requery": "string",
    "gt_answer": "string",
    "alternative_gt_answers": ["string"],
}


def _mmsearch(name: str, query: str, image: Any, answer: str, others: list[str]) -> dict[str, Any]:
    return {
        "sample_id": name,
        "query": query,
        "query_image": image,
        "image_search_result": image,
        "area": "news",
        "subfield": "sports",
        "timestamp": "May",
        "gt_requery": "who",
        "gt_answer": answer,
        "alternative_gt_answers": others,
    }


def _wemath(number: int, question: str, option: str, answer: str) -> dict[str, Any]:
    return {
        "ID": "3steps_165",
        "split": "testmini",
        "knowledge concept": "Area of Circles",
        "question": question,
        "option": option,
        "answer": answer,
        "image_path": IMAGE,
        "key": "3steps_3",
        "question number": number,
        "knowledge concept description": "Area of ...",
    }


def _infoseek(name: str, question: str, answer: list[str], judged: list[Any]) -> dict[str, Any]:
    return {
        "data_id": name,
        "image_id": "oven_04990048",
        "question": question,
        "answer": answer,
        "answer_eval": judged,
        "data_split": "val_unseen_question",
    }


_VISION_SCHEMA = {
    "id": "string",
    "question": "string",
    "options": ["string"],
    "image": "string",
    "decoded_image": "image",
    "answer": "string",
    "solution": "string",
    "level": "int64",
    "subject": "string",
}
_LOGIC_SCHEMA = {
    "question": "string",
    "answer": "string",
    "reasoning": "string",
    "skill": ["string"],
    "broad_capability": ["string"],
    "specific_capability": ["string"],
    "imagesource": "string",
    "sourcelink": "string",
    "liscenced": "string",
    "id": "string",
    "image": "image",
}
_SIMPLEVQA_SCHEMA = {
    "data_id": "int64",
    "image": "string",
    "image_description": "string",
    "language": "string",
    "question": "string",
    "answer": "string",
    "original_category": "string",
    "source": "string",
    "atomic_question": "string",
    "atomic_fact": "string",
    "vqa_category": "string",
}
_REALX_SCHEMA = {
    "query": "string",
    "answer": "string",
    "perception": "int64",
    "search": "int64",
    "reason": "int64",
    "image": "image",
}
_CHARTQA_SCHEMA = {"image": "image", "query": "string", "label": ["string"], "human_or_machine": "int64"}
_OCR_SCHEMA = {
    "dataset": "string",
    "question": "string",
    "question_type": "string",
    "answer": ["string"],
    "image": "image",
}
_TREE_SCHEMA = {
    "index": "int64",
    "image": "string",
    "question": "string",
    "multi-choice options": "string",
    "answer": "string",
    "category": "string",
    "target_instances": "string",
}
_TIR_SCHEMA = {"image_1": "string", "image_2": "string", "prompt": "string", "answer": "string", "task": "string"}
_MATH500_SCHEMA = {
    "problem": "string",
    "solution": "string",
    "answer": "string",
    "subject": "string",
    "level": "int64",
    "unique_id": "string",
}
_AIME_SCHEMA = {
    "id": "int64",
    "problem": "string",
    "solution": "string",
    "answer": "string",
    "url": "string",
    "year": "string",
}
_BROWSE_SCHEMA = {"question": "string", "image_path": "string", "answers": ["string"], "domain": "string"}

ROWS: dict[str, Case] = {
    "vstar_bench": Case(
        schema={"image": "string", **_VSTAR_SCHEMA},
        rows=[*_vstar("direct_attributes/sa_1.jpg"), {**_vstar("../sa_1.jpg")[0], "question_id": "2"}],
        expected=[*_VSTAR, "image_outside_folder"],
        files={"direct_attributes/sa_1.jpg": RED},
        published_as="test_questions.jsonl",
    ),
    "vstar_bench_lmms": Case({"image": "image", **_VSTAR_SCHEMA}, _vstar(IMAGE), _VSTAR),
    "hrbench_4k": _HR,
    "hrbench_8k": _HR,
    "mme_realworld": _MME,
    "mme_realworld_lite": _MME,
    "mathvista": Case(
        _VISTA_SCHEMA,
        [_vista("1", "Is the bar tall?", "No", ["Yes", "No"]), _vista("2", "How long is it in m?", "1.2", None)],
        [
            Expected("Is the bar tall?", "B", "choice", ["Yes", "No"], pictures=1, source_row="1"),
            Expected("How long is it in m?", "1.2", "number", pictures=1, source_row="2"),
        ],
    ),
    "mathvista_test": Case(
        _VISTA_SCHEMA,
        [_vista("3", "Is the bar tall?", "", ["Yes", "No"])],
        [Expected("Is the bar tall?", "", "short_text", pictures=1, source_row="3")],
    ),
    "mathverse": Case(
        schema={
            "sample_index": "string",
            "problem_index": "string",
            "problem_version": "string",
            "question": "string",
            "image": "image",
            "answer": "string",
            "question_type": "string",
            "metadata": {"split": "string", "source": "string", "subject": "string", "subfield": "string"},
            "query_wo": "string",
            "query_cot": "string",
            "question_for_eval": "string",
        },
        rows=[
            _verse("1", "Text Dominant", "x", f"{_VERSE_PROBLEM}\nChoices:\nA:40°\nB:60°\nC:110°", "C", "multi-choice"),
            _verse("5", "Vision Only", "", _VERSE_PROBLEM, "110", "free-form"),
        ],
        expected=[
            Expected(_VERSE_PROBLEM, "C", "choice", ["40°", "60°", "110°"], pictures=1, source_row="1"),
            Expected(_VERSE_PROBLEM, "110", "number", pictures=1, source_row="5"),
        ],
    ),
    "mathvision": Case(
        _VISION_SCHEMA,
        rows_of(
            _VISION_SCHEMA,
            ("1", "Which shape fits?\n<image1>", ["A", "B", "C"], "images/1.jpg", IMAGE, "B", None, 2, "logic"),
            ("2", "Which is larger? <image1>", ["$1$", "$2$"], "images/2.jpg", IMAGE, "B", None, 2, "algebra"),
            ("3", "How many cubes?", [], "images/3.jpg", IMAGE, "13", "Count.", 3, "counting"),
        ),
        [
            Expected("Which shape fits?", "B", "choice", ["A", "B", "C"], pictures=1, source_row="1"),
            Expected("Which is larger?", "B", "choice", ["$1$", "$2$"], pictures=1, source_row="2"),
            Expected("How many cubes?", "13", "number", pictures=1, source_row="3"),
        ],
    ),
    "wemath": Case(
        schema={
            "ID": "string",
            "split": "string",
            "knowledge concept": "string",
            "question": "string",
            "option": "string",
            "answer": "string",
            "image_path": "image",
            "key": "string",
            "question number": "int64",
            "knowledge concept description": "string",
        },
        rows=[
            _wemath(1575, "What is the area ( ) m²?", "A. 200.96;B. 3215.36;C. 32; D. No correct answer", "B"),
            _wemath(1576, "How many sides?", "A. 3; B. 4", "E"),
        ],
        expected=[
            Expected(
                "What is the area ( ) m²?", "B", "choice", ["200.96", "3215.36", "32", "No correct answer"],
                pictures=1, source_row="1575",
            ),
            "answer_not_a_choice",
        ],
    ),
    "dynamath": Case(
        _DYNAMATH_SCHEMA,
        rows_of(
            _DYNAMATH_SCHEMA,
            ("q1", "What is the slope?", "images/1.png", IMAGE, "-2.5", "float", "algebra", "high school"),
            ("q2", "Is it even? choices: (A) yes (B) no", "images/2.png", IMAGE, "B", "multiple choice", "x", "y"),
        ),
        [
            Expected("What is the slope?", "-2.5", "number", pictures=1, source_row="q1"),
            Expected("Is it even? choices: (A) yes (B) no", "B", "short_text", pictures=1, source_row="q2"),
        ],
    ),
    "logicvista": Case(
        _LOGIC_SCHEMA,
        rows_of(
            _LOGIC_SCHEMA,
            ("Which of A to D comes next?", "C", "It turns.", ["inductive"], ["d"], ["p"], "own", "", "", "v1", IMAGE),
            ("Which two fit?", "A, C", "They do.", ["inductive"], ["d"], ["p"], "own", "", "", "v2", IMAGE),
        ),
        [
            Expected("Which of A to D comes next?", "C", "short_text", pictures=1, source_row="v1"),
            Expected("Which two fit?", "A, C", "short_text", pictures=1, source_row="v2"),
        ],
    ),
    "mmsearch": Case(
        _MMSEARCH_SCHEMA,
        [
            _mmsearch("n1", "Who won here?", IMAGE, "Norway", ["the Norwegians", "Norway"]),
            _mmsearch("n2", "When does the fair open?", None, "2 May", []),
        ],
        [
            Expected("Who won here?", "Norway", "short_text", aliases=["the Norwegians"], pictures=1, source_row="n1"),
            Expected("When does the fair open?", "2 May", "short_text", source_row="n2"),
        ],
    ),
    "simplevqa": Case(
        _SIMPLEVQA_SCHEMA,
        rows_of(
            _SIMPLEVQA_SCHEMA,
            (0, _BASE64, "A tower.", "EN", "Who built this tower?", "Ada Stone", "a", "b", "What is it?", "It.", "c"),
            (1, _BASE64, "塔", "CN", "这座塔在哪一年建成？", "1931", "a", "b", "c", "d", "e"),  # noqa: RUF001
        ),
        [
            Expected("Who built this tower?", "Ada Stone", "short_text", pictures=1, source_row="0"),
            Expected("这座塔在哪一年建成？", "1931", "number", pictures=1, source_row="1"),  # noqa: RUF001
        ],
    ),
    "fvqa_test": Case(
        _FVQA_SCHEMA,
        [
            _fvqa("fvqa_test_0", "<image>\nWho designed this bridge?", "Mara Lind", ["M. Lind", "Mara Lind"]),
            _fvqa("fvqa_test_1", "In which year did it open?", "1921", []),
        ],
        [
            Expected(
                "Who designed this bridge?", "Mara Lind", "short_text", aliases=["M. Lind"], pictures=1,
                source_row="fvqa_test_0",
            ),
            Expected("In which year did it open?", "1921", "number", pictures=1, source_row="fvqa_test_1"),
        ],
    ),
    "infoseek_val": Case(
        schema={
            "data_id": "string",
            "image_id": "string",
            "question": "string",
            "answer": ["string"],
            "answer_eval": ["string"],
            "data_split": "string",
        },
        rows=[
            _infoseek("infoseek_val_00000000", "What powers this?", ["heat engine", "engine"], ["heat engine"]),
            _infoseek("infoseek_val_00000001", "How long is it?", ["9.5"], [{"wikidata": 9.5, "range": [9.0, 10.0]}]),
        ],
        expected=[
            Expected(
                "What powers this?", "heat engine", "short_text", aliases=["engine"], pictures=1,
                source_row="infoseek_val_00000000",
            ),
            Expected("How long is it?", "9.5", "number", pictures=1, source_row="infoseek_val_00000001"),
        ],
        files={"oven_04990048.jpg": RED},
        published_as="infoseek_val.jsonl",
    ),
    "realx_bench": Case(
        _REALX_SCHEMA,
        rows_of(
            _REALX_SCHEMA,
            ("Which pier is behind the second boat?", "Pier 9 or Nine", 1, 1, 0, IMAGE),
            ("How old was its owner?", "41", 1, 1, 1, IMAGE),
        ),
        [
            Expected("Which pier is behind the second boat?", "Pier 9", "short_text", aliases=["Nine"], pictures=1),
            Expected("How old was its owner?", "41", "number", pictures=1),
        ],
    ),
    "chartqa": Case(
        _CHARTQA_SCHEMA,
        rows_of(_CHARTQA_SCHEMA, (IMAGE, "What is the tallest bar?", ["14.5"], 0), (IMAGE, "The least?", ["Ohio"], 1)),
        [
            Expected("What is the tallest bar?", "14.5", "number", pictures=1),
            Expected("The least?", "Ohio", "short_text", pictures=1),
        ],
    ),
    "charxiv": Case(
        _CHARXIV_SCHEMA,
        [_charxiv("The dashed one"), _charxiv(None)],
        [
            Expected(
                "Which curve crosses zero first?", "The dashed one", "short_text", pictures=1, source_row="images/0.jpg"
            ),
            "empty_answer",
        ],
    ),
    "charxiv_test": Case(
        _CHARXIV_SCHEMA,
        [_charxiv(None)],
        [Expected("Which curve crosses zero first?", "", "short_text", pictures=1, source_row="images/0.jpg")],
    ),
    "ocrbench": Case(
        _OCR_SCHEMA,
        rows_of(
            _OCR_SCHEMA,
            ("own", "what is written in the image?", "Regular Text Recognition", ["HARBOUR"], IMAGE),
            ("own", "What is the total?", "Key Information Extraction", ["$4.20", "4.20"], IMAGE),
        ),
        [
            Expected("what is written in the image?", "HARBOUR", "short_text", pictures=1),
            Expected("What is the total?", "$4.20", "number", aliases=["4.20"], pictures=1),
        ],
    ),
    "treebench": Case(
        _TREE_SCHEMA,
        rows_of(
            _TREE_SCHEMA,
            (3, _BASE64, "What does the man hold?", "A. a rope\nB. a hook", "B", "Perception/OCR", "[[1, 2, 3, 4]]"),
            (4, _BASE64, "Which is nearer?", "(A) the van (B) the bus (C) both", "A", "Reasoning/Ordering", "[]"),
        ),
        [
            Expected("What does the man hold?", "B", "choice", ["a rope", "a hook"], pictures=1, source_row="3"),
            Expected("Which is nearer?", "A", "choice", ["the van", "the bus", "both"], pictures=1, source_row="4"),
        ],
        published_as="TreeBench.tsv",
    ),
    "tir_bench": Case(
        _TIR_SCHEMA,
        rows_of(
            _TIR_SCHEMA,
            ("data/a.png", None, "Read the turned sign.", "NORTH", "ocr"),
            ("data/a.png", "data/b.png", "How many things differ?", 3, "spot_difference"),
            ("data/b.png", None, "Put the tiles in order.", [1, 0, 3, 2], "jigsaw"),
            ("data/none.png", None, "What is it?", "A", "maze"),
        ),
        [
            Expected("Read the turned sign.", "NORTH", "short_text", pictures=1),
            Expected("How many things differ?", "3", "number", pictures=2),
            Expected("Put the tiles in order.", "[1,0,3,2]", "short_text", pictures=1),
            "image_missing",
        ],
        files={"data/a.png": RED, "data/b.png": BLUE},
        published_as="TIR-Bench.json",
    ),
    "math500": Case(
        _MATH500_SCHEMA,
        rows_of(
            _MATH500_SCHEMA,
            ("Name the origin.", "It is $(0,0)$.", "\\left( 0, 0 \\right)", "Algebra", 2, "test/algebra/1.json"),
            ("Add 2 and 3.", "$\\boxed{5}$", "5", "Prealgebra", 1, "test/prealgebra/2.json"),
        ),
        [
            Expected(
                "Name the origin.", "\\left( 0, 0 \\right)", "expression", source_row="test/algebra/1.json"
            ),
            Expected("Add 2 and 3.", "5", "expression", source_row="test/prealgebra/2.json"),
        ],
        published_as="test.jsonl",
    ),
    "aime_2024": Case(
        _AIME_SCHEMA,
        rows_of(_AIME_SCHEMA, (60, "Find the sum.", "It is 73.", "073", "https://example.org", "2024")),
        [Expected("Find the sum.", "073", "number", source_row="60")],
    ),
    "aime_2025": Case(
        {"problem": "string", "answer": "string", "id": "string"},
        [{"problem": "Find the product.", "answer": "588", "id": "0"}],
        [Expected("Find the product.", "588", "number", source_row="0")],
    ),
    "simpleqa": Case(
        {"metadata": "string", "problem": "string", "answer": "string"},
        [{"metadata": "{'topic': 'Art'}", "problem": "Who painted the ferry?", "answer": "Lena Mohr"}],
        [Expected("Who painted the ferry?", "Lena Mohr", "short_text")],
    ),
    "browsecomp_vl": Case(
        _BROWSE_SCHEMA,
        rows_of(
            _BROWSE_SCHEMA,
            ("Who made the engine of this ship?", "image/level1/1.jpg", ["Holt", "Holt & Co."], "Transport"),
        ),
        [
            Expected(
                "Who made the engine of this ship?", "Holt", "short_text", aliases=["Holt & Co."],
                pictures=1, source_row="image/level1/1.jpg",
            )
        ],
        files={"image/level1/1.jpg": RED},
        published_as="bc_vl_level1.jsonl",
    ),
}  # fmt: skip
