"""Small files with the columns and types of the published datasets, and what their mappings must make of them.

No row is copied from a dataset. `ROWS` has one entry for each mapping of sources/published/ that is tested here.
"""

import io
import json
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from PIL import Image


def png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (5, 4), colour).save(buffer, "PNG")
    return buffer.getvalue()


RED, BLUE = png("red"), png("blue")


@dataclass(frozen=True)
class Made:
    """What a row becomes."""

    text: str
    answer: str
    answer_type: str
    choices: list[str] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)
    pictures: list[bytes] = field(default_factory=list)


@dataclass(frozen=True)
class Case:
    """A small dataset: rows, what each becomes (or the reason of its reject), and image files beside it."""

    rows: list[dict[str, Any]]
    made: list[Made | str]
    schema: pa.Schema | None = None
    """Features of the parquet file; without them, the rows are a JSON array, as the dataset is published."""
    lines: bool = False
    """JSON lines instead of a JSON array."""
    files: dict[str, bytes] = field(default_factory=dict)


TEXT, LONG = pa.string(), pa.int64()
IMAGE = pa.struct([("bytes", pa.binary()), ("path", TEXT)])
TURNS = pa.list_(pa.struct([("content", TEXT), ("role", TEXT)]))
_INFO = pa.struct([("answer", TEXT), ("index", LONG), ("question", TEXT), ("split", TEXT)])
_GOLD = pa.struct([("ground_truth", TEXT), ("style", TEXT)])
VERL = pa.schema(
    [
        ("data_source", TEXT), ("prompt", TURNS), ("images", pa.list_(IMAGE)), ("ability", TEXT), ("env_name", TEXT),
        ("reward_model", _GOLD), ("extra_info", _INFO),
    ]
)  # fmt: skip


def verl(question: str, answer: str | None, image: bytes | None = RED, source: str = "vstar") -> dict[str, Any]:
    """A row in the form of verl, with the prompt of a tool user before the question."""
    return {
        "data_source": source,
        "prompt": [
            {"role": "system", "content": "You may zoom in."},
            {"role": "user", "content": f"<image>\n\nQuestion:\n{question}\nThink first, call a tool if needed."},
        ],
        "images": [{"bytes": image, "path": None}] if image else [],
        "ability": "vl",
        "env_name": "toolbox",
        "reward_model": {"style": "model", "ground_truth": answer},
        "extra_info": {"split": "train", "index": 7, "question": question, "answer": answer},
    }


def turns(*texts: str) -> list[dict[str, str]]:
    """LLaVA's conversation: human and gpt in turn."""
    return [{"from": "human" if i % 2 == 0 else "gpt", "value": text} for i, text in enumerate(texts)]


def chat(*texts: str) -> list[dict[str, str]]:
    """A system prompt, then user and assistant in turn."""
    said = [{"role": "user" if i % 2 == 0 else "assistant", "content": text} for i, text in enumerate(texts)]
    return [{"role": "system", "content": "You may run code."}, *said]


def _seal(focus: str) -> Case:
    boxes = [{"name": "kite", "bbox": [1.0, 2.0, 3.5, 4.0]}]
    return Case(
        rows=[
            {
                "id": "1", "image": "coco2017/train2017/1.png", "target_instances": boxes,
                "conversations": turns(f"<image>\n{focus}Where is the kite?", "Above the tree."),
            },
            {
                "id": "2", "image": "gqa/images/2.png", "target_instances": boxes,
                "conversations": turns(f"{focus}Is the kite red?\n<image>", "Yes", "And the tree?", "No"),
            },
            {"id": "3", "image": "../x.png", "target_instances": boxes, "conversations": turns("What?", "A kite")},
            {"id": "4", "image": "gqa/images/none.png", "target_instances": [], "conversations": turns("What?", "It")},
        ],
        made=[
            Made("Where is the kite?", "Above the tree.", "short_text", pictures=[RED]),
            Made("Is the kite red?", "Yes", "boolean", pictures=[BLUE]),
            "image_outside_folder",
            "image_missing",
        ],
        files={"coco2017/train2017/1.png": RED, "gqa/images/2.png": BLUE},
    )  # fmt: skip


_FOCUS = "Additional visual information to focus on: kite <object>, tree <object>.\n"

_CHART = "Which curve is highest? Options:\n(A) the red one\n(B) the blue one"

_RL = Case(
    rows=[verl("<image>How many boats?", "3"), verl("", "x"), verl("Who painted this?", "Monet", BLUE)],
    made=[
        Made("How many boats?", "3", "number", pictures=[RED]),
        "empty_text",
        Made("Who painted this?", "Monet", "short_text", pictures=[BLUE]),
    ],
    schema=VERL,
)

_REMINDER = (
    "\nThink first, call **tools** if needed, then answer. Format strictly as: <think>...</think>\n<answer>...</answer>"
)

ROWS: dict[str, Case] = {
    "vstar_gqa": Case(
        rows=[
            {
                "image": "gqa/images/2.png", "question": "What colour is the cup?", "answer": "blue",
                "target_instances": [{"name": "cup", "bbox": [1, 2, 3, 4]}],
                "conversations": turns(f"<image>\n{_FOCUS}What colour is the cup?", "The cup is blue."),
            },
            {
                "image": "gqa/images/2.png", "question": "Is there a cup?", "answer": "yes",
                "target_instances": [], "conversations": turns("<image>\nIs there a cup?", "Yes."),
            },
            {
                "image": "gqa/images/none.png", "question": "What?", "answer": "it", "target_instances": [],
                "conversations": turns("What?", "It."),
            },
        ],
        made=[
            Made("What colour is the cup?", "blue", "short_text", pictures=[BLUE]),
            Made("Is there a cup?", "yes", "boolean", pictures=[BLUE]),
            "image_missing",
        ],
        files={"gqa/images/2.png": BLUE},
    ),
    "vstar_llava_focus": _seal(_FOCUS),
    "vstar_spatial_relation": _seal(_FOCUS),
    "vstar_vaw_attribute": _seal(""),
    "arxivqa": Case(
        rows=[
            {
                "id": "physics-1", "image": "images/1.png", "options": ["A) It rises", "B) It falls"], "label": "B",
                "question": "What does the curve do?", "rationale": "It goes down.",
            },
            {
                "id": "cs-2", "image": "images/1.png", "options": ["one", "two", "three"], "label": "C) three",
                "question": "How many peaks?", "rationale": "",
            },
            {
                "id": "cs-3", "image": "images/1.png", "options": ["[A] E. coli", "[B] B. cereus"], "label": "[A]",
                "question": "Which grows?", "rationale": "",
            },
            {
                "id": "cs-4", "image": "images/1.png", "options": ["B. cereus", "E. coli"], "label": "E. coli",
                "question": "Which shrinks?", "rationale": "",
            },
            {
                "id": "cs-5", "image": "images/1.png", "options": ["-", "A) x", "B) y"], "label": "A",
                "question": "Which?", "rationale": "",
            },
            {
                "id": "cs-6", "image": "images/1.png", "options": ["A) x", "B) y"], "label": "D",
                "question": "Which?", "rationale": "",
            },
        ],
        made=[
            Made("What does the curve do?", "B", "choice", ["It rises", "It falls"], pictures=[RED]),
            Made("How many peaks?", "C", "choice", ["one", "two", "three"], pictures=[RED]),
            Made("Which grows?", "A", "choice", ["E. coli", "B. cereus"], pictures=[RED]),
            "answer_not_a_choice",
            "not_wanted",
            "answer_not_a_choice",
        ],
        lines=True,
        files={"images/1.png": RED},
    ),
    "pixmo_count": Case(
        rows=[
            {
                "image_url": "https://a.example/1.jpg", "image_sha256": "ab12", "count": 3, "label": "kite",
                "points": [{"x": 1.0, "y": 2.0}] * 3,
            },
            {"image_url": "https://a.example/1.jpg", "image_sha256": "ab12", "count": 0, "label": "cups", "points": []},
            {"image_url": "https://a.example/2.jpg", "image_sha256": "cd34", "count": 2, "label": "pot", "points": []},
        ],
        made=[
            Made('How many instances of "kite" are there in the image?', "3", "number", pictures=[RED]),
            Made('How many instances of "cups" are there in the image?', "0", "number", pictures=[RED]),
            "image_missing",
        ],
        schema=pa.schema(
            [
                ("image_url", TEXT), ("image_sha256", TEXT), ("count", pa.int32()),
                ("points", pa.list_(pa.struct([("x", pa.float32()), ("y", pa.float32())]))), ("label", TEXT),
            ]
        ),
        files={"ab12": RED},
    ),
    "tallyqa": Case(
        rows=[
            {
                "answer": 2, "data_source": "imported_genome", "image": "VG_100K_2/9.png", "image_id": 929,
                "issimple": False, "question": "How many lamps has the red bus?", "question_id": 31,
            },
            {
                "answer": 0, "data_source": "amt", "image": "train2014/9.png", "image_id": 9, "issimple": True,
                "question": "How many dogs?", "question_id": 32,
            },
            {
                "answer": 1, "data_source": "amt", "image": "train2014/x.png", "image_id": 8, "issimple": True,
                "question": "How many cats?", "question_id": 33,
            },
        ],
        made=[
            Made("How many lamps has the red bus?", "2", "number", pictures=[RED]),
            Made("How many dogs?", "0", "number", pictures=[BLUE]),
            "image_missing",
        ],
        files={"VG_100K_2/9.png": RED, "train2014/9.png": BLUE},
    ),
    "seekworld": Case(
        rows=[
            {
                "message": json.dumps(
                    [
                        {"role": "system", "content": "Think."},
                        {
                            "role": "user",
                            "content": [
                                {"type": "image", "image": "street/1.png"},
                                {"type": "text", "text": "In which country and division was this taken?"},
                            ],
                        },
                    ]
                ),
                "answer": "$Spain,Catalonia/Catalunya$",
            },
            {
                "message": json.dumps(
                    [
                        {
                            "role": "user",
                            "content": [{"type": "image", "image": "street/1.png"}, {"type": "text", "text": "Where?"}],
                        }
                    ]
                ),
                "answer": "China, Yunnan/Yunnan Province",
            },
            {"message": "[]", "answer": "$Monaco$"},
            {"message": "no JSON", "answer": "$Spain,Galicia$"},
        ],
        made=[
            Made(
                "In which country and division was this taken?", "Spain, Catalonia", "short_text",
                aliases=["Spain, Catalunya"], pictures=[RED],
            ),
            Made("Where?", "China, Yunnan", "short_text", aliases=["China, Yunnan Province"], pictures=[RED]),
            "not_wanted",
            "expression_failed",
        ],
        lines=True,
        files={"street/1.png": RED},
    ),
    "revisual_r1": Case(
        rows=[
            {
                "problem": "<image>Find x.", "answer": "12", "dataset": "geometry3k",
                "images": [{"bytes": RED, "path": None}],
            },
            {
                "problem": "<image>\nWhich is the angle?\nChoices:\nA. 30°\nB. 60°\nGive the letter.", "answer": "B",
                "dataset": "geoqa", "images": [{"bytes": BLUE, "path": "2.png"}],
            },
            {"problem": "What is $2+2$?", "answer": "\\boxed{4}", "dataset": None, "images": []},
            {"problem": "<image>Which?", "answer": "C", "dataset": "iconqa", "images": [{"bytes": None, "path": None}]},
        ],
        made=[
            Made("Find x.", "12", "number", pictures=[RED]),
            Made("Which is the angle?", "B", "choice", ["30°", "60°"], pictures=[BLUE]),
            Made("What is $2+2$?", "4", "number"),
            Made("<image>Which?", "C", "short_text"),  # which the rules for the wording reject
        ],
        schema=pa.schema([("problem", TEXT), ("answer", TEXT), ("images", pa.list_(IMAGE)), ("dataset", TEXT)]),
    ),
    "thinklite_vl": Case(
        rows=[
            {"image": RED, "problem": "<image>What is $x$?", "answer": "\\frac{1}{2}", "id": 5, "ground_truth": "0.5"},
            {"image": BLUE, "problem": "<image>\nHow many?", "answer": "7", "id": 6, "ground_truth": "7"},
            {"image": None, "problem": "<image>How many?", "answer": "8", "id": 7, "ground_truth": "8"},
        ],
        made=[
            Made("What is $x$?", "\\frac{1}{2}", "expression", pictures=[RED]),
            Made("How many?", "7", "number", pictures=[BLUE]),
            "image_missing",
        ],
        schema=pa.schema(
            [("image", pa.binary()), ("problem", TEXT), ("answer", TEXT), ("id", LONG), ("ground_truth", TEXT)]
        ),
    ),
    "vgr": Case(
        rows=[
            {
                "image": "images/gqa/1.png",
                "conversations": turns("<image>\nWhat is left?", "<think>I look.</think><answer>a cup</answer>"),
            },
            {"image": "images/gqa/1.png", "conversations": turns("How many?\n<image>", "So it is \\boxed{2}.")},
            {"image": "images/gqa/1.png", "conversations": turns("<image>Why?", "Because.")},
        ],
        made=[
            Made("What is left?", "a cup", "short_text", pictures=[RED]),
            Made("How many?", "2", "number", pictures=[RED]),
            "empty_answer",
        ],
        schema=pa.schema(
            [("image", TEXT), ("conversations", pa.list_(pa.struct([("from", TEXT), ("value", TEXT)])))]
        ),
        files={"images/gqa/1.png": RED},
    ),
    "chain_of_focus": Case(
        rows=[
            {
                "messages": chat(
                    "<image>\nWhat is on the sign?\nThink in the mind first, and then decide whether to call tools.",
                    '<think>Small.</think><tool_call>{"name": "zoom"}</tool_call>',
                    "<image>",
                    "<think>I see.</think><answer>Stop</answer>",
                ),
                "images": ["./images/a.png", "./images/a_crop.png"],
            },
            {
                "messages": chat("<image>Is it open?", "<answer>no</answer> or <answer>yes</answer>"),
                "images": ["images/a.png"],
            },
            {"messages": chat("<image>Is it?", "I do not know."), "images": ["images/a.png"]},
            {"messages": chat("Is it?", "<answer>no</answer>"), "images": []},
        ],
        made=[
            Made("What is on the sign?", "Stop", "short_text", pictures=[RED]),
            Made("Is it open?", "yes", "boolean", pictures=[RED]),
            "empty_answer",
            "image_missing",
        ],
        files={"images/a.png": RED, "images/a_crop.png": BLUE},
    ),
    "vlm_r3": Case(
        rows=[
            {"question": "What is written?", "answer": "OPEN", "image": "textvqa/1.png"},
            {"question": "Is it left?", "answer": "yes", "image": "textvqa/1.png"},
        ],
        made=[
            Made("What is written?", "OPEN", "short_text", pictures=[RED]),
            Made("Is it left?", "yes", "boolean", pictures=[RED]),
        ],
        lines=True,
        files={"textvqa/1.png": RED},
    ),
    "fvqa": Case(
        rows=[
            {
                "prompt": [{"role": "user", "content": "<image>\nWho built this tower?"}],
                "images": [{"bytes": RED, "path": None}],
                "reward_model": {
                    "style": "rule", "ground_truth": "Eiffel",
                    "candidate_answers": '["Eiffel", "Gustave Eiffel", "G. Eiffel"]',
                },
                "data_source": "mmsearch_r1/fvqa_train", "image_urls": [None], "data_id": "fvqa_train_1",
                "category": "search_required",
            },
            {
                "prompt": [{"role": "user", "content": "In which year?"}],
                "images": [{"bytes": BLUE, "path": None}],
                "reward_model": {"style": "rule", "ground_truth": "1889", "candidate_answers": None},
                "data_source": "mmsearch_r1/fvqa_train", "image_urls": None, "data_id": "fvqa_train_2",
                "category": "search_free",
            },
            {
                "prompt": [{"role": "user", "content": "Where?"}],
                "images": [{"bytes": BLUE, "path": None}],
                "reward_model": {"style": "rule", "ground_truth": "Paris", "candidate_answers": "[broken"},
                "data_source": "mmsearch_r1/fvqa_train", "image_urls": None, "data_id": "fvqa_train_3",
                "category": "search_free",
            },
        ],
        made=[
            Made(
                "Who built this tower?", "Eiffel", "short_text", aliases=["Gustave Eiffel", "G. Eiffel"], pictures=[RED]
            ),
            Made("In which year?", "1889", "number", pictures=[BLUE]),
            "expression_failed",
        ],
        schema=pa.schema(
            [
                ("prompt", TURNS), ("images", pa.list_(IMAGE)),
                (
                    "reward_model",
                    pa.struct([("candidate_answers", TEXT), ("ground_truth", TEXT), ("style", TEXT)]),
                ),
                ("data_source", TEXT), ("image_urls", pa.list_(TEXT)), ("data_id", TEXT), ("category", TEXT),
            ]
        ),
    ),
    "geometry3k": Case(
        rows=[
            {"images": [{"bytes": RED, "path": "1.png"}], "problem": "<image>Find x.", "answer": "2 \\sqrt { 221 }"},
            {"images": [{"bytes": BLUE, "path": None}], "problem": "<image>Find y.", "answer": "16"},
            {"images": [], "problem": "<image>Find z.", "answer": ""},
        ],
        made=[
            Made("Find x.", "2 \\sqrt { 221 }", "expression", pictures=[RED]),
            Made("Find y.", "16", "expression", pictures=[BLUE]),
            "empty_answer",
        ],
        schema=pa.schema([("images", pa.list_(IMAGE)), ("problem", TEXT), ("answer", TEXT)]),
    ),
    "deepeyes_vstar": _RL,
    "deepeyes_chart": Case(
        rows=[
            verl(_CHART, "B", source="chart"),
            verl(_CHART, "(A)", source="chart"),
            verl("What does the dashed line show?", "A fit", source="chart"),
            verl(_CHART, "C", source="chart"),
            verl("Which curve is highest?", "A", source="chart"),
        ],
        made=[
            Made("Which curve is highest?", "B", "choice", ["the red one", "the blue one"], pictures=[RED]),
            Made("Which curve is highest?", "A", "choice", ["the red one", "the blue one"], pictures=[RED]),
            Made("What does the dashed line show?", "A fit", "short_text", pictures=[RED]),
            "answer_not_a_choice",
            "not_wanted",
        ],
        schema=VERL,
    ),
    "deepeyes_thinklite": Case(
        rows=[verl("<image>Find x.", "\\boxed{\\frac{1}{2}}"), verl("How many?", "4"), verl("Which?", None)],
        made=[
            Made("Find x.", "\\frac{1}{2}", "expression", pictures=[RED]),
            Made("How many?", "4", "number", pictures=[RED]),
            "empty_answer",
        ],
        schema=VERL,
    ),
    "deepeyesv2_rl_perception": _RL,
    "deepeyesv2_rl_reason": Case(
        rows=[verl("<image>Find x.", "\\boxed{5}"), verl("How many?", "4")],
        made=[Made("Find x.", "5", "number", pictures=[RED]), Made("How many?", "4", "number", pictures=[RED])],
        schema=VERL,
    ),
    "deepeyesv2_rl_search": _RL,
    "deepeyesv2_sft": Case(
        rows=[
            {
                "messages": chat(
                    f"<image>\nHow long is the bar?{_REMINDER}", "<think>Plot.</think><code>x</code>",
                    "Code execution result: <image>", "<think>So.</think><answer>12</answer>",
                ),
                "images": ["images/1_000.png", "images/1_001.png"],
            },
            {"messages": chat("What is 2+2?", "<think>Easy.</think><answer>4</answer>"), "images": []},
            {"messages": chat("What is 3+3?", "<answer>6</answer>"), "images": None},
            {"messages": chat("<image>What?", "<think>It broke"), "images": ["images/1_000.png"]},
        ],
        made=[
            Made("How long is the bar?", "12", "number", pictures=[RED]),
            Made("What is 2+2?", "4", "number"),
            Made("What is 3+3?", "6", "number"),
            "empty_answer",
        ],
        files={"images/1_000.png": RED, "images/1_001.png": BLUE},
    ),
    "infoseek": Case(
        rows=[
            {
                "data_id": "infoseek_train_1", "image_id": "oven_1", "question": "Who designed this building?",
                "answer": ["Ann Lee"], "answer_eval": ["Ann Lee", "A. Lee"], "data_split": "train",
            },
            {
                "data_id": "infoseek_train_2", "image_id": "oven_1", "question": "How high is it in metres?",
                "answer": ["52.0"], "answer_eval": [{"wikidata": 52.0, "range": [46.8, 57.2]}], "data_split": "train",
            },
            {
                "data_id": "infoseek_train_3", "image_id": "oven_2", "question": "Where is it?",
                "answer": ["Rome"], "answer_eval": ["Rome"], "data_split": "train",
            },
        ],
        made=[
            Made("Who designed this building?", "Ann Lee", "short_text", aliases=["A. Lee"], pictures=[RED]),
            Made("How high is it in metres?", "52.0", "number", pictures=[RED]),
            "image_missing",
        ],
        lines=True,
        files={"oven_1.jpg": RED},
    ),
}  # fmt: skip
