"""Which texts are one question, by language: `python -m benchmarks.questions.languages [--pairs 400]`.

Pairs are made of templates in English, Chinese, Japanese, Thai, Arabic and LaTeX. The one of a pair is an original, the
other is the same question in another dress (an instruction around it, other function words, marks, spellings of a
formula) or another question that looks like it (another number, another thing). Both have the same answer, so that the
text alone decides, as it does where two questions have the same answer by chance.

- duplicates: exact and near ones by the default rules. found: one of the two goes.
- evaluation sets: the originals are the evaluation set, the others the questions. found: the question is a hit.

Recall is the share of the first kind that is found, false alarms the share of the second kind; both with Wilson's 95 %
intervals. `clean` are questions of the same templates about things that no original is about, against the evaluation set.
"""

# ruff: noqa: E501, RUF001 - templates, and signs that look alike are meant

import argparse
import json
from collections import Counter
from collections.abc import Callable

import numpy as np
import polars as pl

from filters.contamination import text as contamination
from filters.duplicates import exact, inexact
from filters.intervals import wilson
from records.question import Question
from records.recipe.questions import Decontamination, Duplicates
from records.tables import to_frame

_Edit = Callable[[str], str]
LANGUAGES: dict[str, tuple[list[str], list[str], list[_Edit]]] = {
    "English": (
        [
            "At the {0} there are {a} boxes with {b} coins each. How many coins are there in all?",
            "What is the name of the highest {0} in the country that borders the {1}?",
            "If a {0} costs {a} dollars and a {1} costs {b} dollars, what do both cost?",
            "In which year was the {0} of the old {1} built?",
        ],
        ["market", "harbour", "station", "castle", "mountain", "river", "bridge", "museum", "temple", "garden", "library", "theatre", "hospital", "factory"],
        [
            lambda t: f"Answer the following question.\n{t}",
            lambda t: f"Question: {t}\nAnswer:",
            lambda t: f"{t} Give your final answer in one word.",
            lambda t: t.replace("At the", "In the").replace("of the", "for the").replace(" is ", " was ").replace("If a", "If the"),
            str.upper,
            lambda t: t.replace("How many", "So how many").replace("that borders", "which borders").replace("was the", "is the").replace("what do", "then what do"),
        ],
    ),
    "Chinese": (
        [
            "{0}里有{a}个箱子，每个箱子里有{b}枚硬币，一共有多少枚硬币？",
            "和{1}相邻的国家里最高的{0}叫什么名字？",
            "某商店以每件{a}元的价格购进一批{0}，按标价的{b}折出售仍可获利，求每件{0}的标价是多少元？",
            "古老的{1}旁边的{0}是哪一年建成的？",
        ],
        ["市场", "港口", "车站", "城堡", "高山", "河流", "大桥", "博物馆", "寺庙", "花园", "图书馆", "剧院", "医院", "工厂"],
        [
            lambda t: f"请回答下面的问题。{t}",
            lambda t: f"问题：{t}\n答案：",
            lambda t: f"{t}\n请用中文回答",
            lambda t: f"<image>\n{t}请直接给出答案。",
            lambda t: t.replace("，", ",").replace("？", "?"),
            lambda t: t.replace("一共", "总共").replace("的国家里", "国家里").replace("旁边的", "旁边").replace("购进一批", "购进了一批"),
        ],
    ),
    "Japanese": (
        [
            "{0}に箱が{a}個あり、それぞれに硬貨が{b}枚入っています。硬貨は全部で何枚ですか？",
            "{1}と国境を接する国で最も高い{0}の名前は何ですか？",
            "ある店では{0}を一個{a}円で仕入れ、{b}割引で売っても利益があります。{0}の定価は何円ですか？",
            "古い{1}の隣にある{0}は何年に建てられましたか？",
        ],
        ["市場", "港", "駅", "城", "山脈", "河川", "大橋", "博物館", "寺院", "庭園", "図書館", "劇場", "病院", "工場"],
        [
            lambda t: f"次の質問に答えてください。{t}",
            lambda t: f"質問：{t}\n答え：",
            lambda t: f"{t}日本語で答えてください。",
            lambda t: f"Q: {t}",
            lambda t: t.replace("？", "?"),
            lambda t: t.replace("ですか？", "でしょうか？").replace("ましたか？", "ました？"),
        ],
    ),
    "Thai": (
        [
            "ที่{0}มีกล่อง {a} ใบ แต่ละใบมีเหรียญ {b} เหรียญ มีเหรียญทั้งหมดกี่เหรียญ",
            "{0}ที่สูงที่สุดในประเทศที่ติดกับ{1}ชื่ออะไร",
            "ร้านค้าซื้อ{0}มาตัวละ {a} บาท ขายลดราคา {b} เปอร์เซ็นต์แล้วยังได้กำไร ราคาป้ายของ{0}เป็นเท่าใด",
            "{0}ข้าง{1}เก่าสร้างขึ้นในปีใด",
        ],
        ["ตลาด", "ท่าเรือ", "สถานี", "ปราสาท", "ภูเขา", "แม่น้ำ", "สะพาน", "พิพิธภัณฑ์", "วัด", "สวน", "ห้องสมุด", "โรงละคร", "โรงพยาบาล", "โรงงาน"],
        [
            lambda t: f"จงตอบคำถามต่อไปนี้ {t}",
            lambda t: f"คำถาม: {t}\nคำตอบ:",
            lambda t: f"{t} ตอบเป็นภาษาไทย",
            lambda t: f"<image>\n{t}",
            lambda t: f"{t}ครับ",
            lambda t: f"กรุณา{t}?",
        ],
    ),
    "Arabic": (
        [
            "في {0} يوجد {a} صندوقا وفي كل منها {b} قطعة نقدية. كم عدد القطع النقدية كلها؟",
            "ما اسم أعلى {0} في البلد المجاور ل{1}؟",
            "اشترى تاجر {0} بسعر {a} درهما وباعه بخصم {b} بالمئة فربح. ما السعر المعلن؟",
            "في أي سنة بني {0} بجانب {1} القديم؟",
        ],
        ["سوق", "ميناء", "قطار", "قصر", "جبل", "نهر", "جسر", "متحف", "معبد", "بستان", "مسرح", "مصنع", "برج", "فندق"],
        [
            lambda t: f"أجب عن السؤال التالي: {t}",
            lambda t: f"السؤال: {t}\nالإجابة:",
            lambda t: f"{t} أجب باختصار.",
            lambda t: t.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")).replace("؟", "?"),
            lambda t: t.replace("أ", "ا").replace("ى", "ي"),
            lambda t: t.replace("بني", "بُنِيَ").replace("كم", "كَم").replace("ما ", "مَا ").replace("درهم", "دِرهم"),
        ],
    ),
    "LaTeX": (
        [
            r"Compute $\frac{{{a}}}{{{b}}}+\frac{{1}}{{3}}$.",
            r"Solve $\frac{{2x+{a}}}{{x-{b}}} \le 5$ for real $x$.",
            r"Find the area of the {0} if $x^{{2}}+y^{{2}}={a}$ and $z \neq {b}$.",
            r"Let $a_{{1}}={a}$ and $a_{{2}}=\sqrt{{{b}}}\cdot\pi$. What is $a_{{1}}a_{{2}}$ for the {0}?",
        ],
        ["circle", "triangle", "square", "ellipse", "rectangle", "pentagon", "hexagon", "trapezoid", "rhombus", "cylinder", "sphere", "cone", "cube", "prism"],
        [
            lambda t: t.replace(r"\frac", r"\dfrac").replace(r"\neq", r"\ne").replace(r"\cdot", "·"),
            lambda t: t.replace(r"\le ", "≤ ").replace(r"\neq", "≠").replace("^{2}", "²").replace(r"\pi", "π").replace(r"\frac{1}{3}", "1/3"),
            lambda t: t.replace("$", ""),
            lambda t: t.replace("$", r"\(", 1).replace("$", r"\)", 1).replace(r"\le ", r"\leq "),
            lambda t: f"Q: {t} Put your final answer in \\boxed{{}}.",
            lambda t: t.replace("^{2}", "^2").replace("_{1}", "_1").replace("_{2}", "_2").replace(r"\le ", r"\leqslant "),
        ],
    ),
}  # fmt: skip
"""Templates, things, and edits that change nothing, by language."""


def make(language: str, pairs: int, seed: int = 0) -> pl.DataFrame:
    """one, other, same, clean: pairs of texts, half of them one question, and as many questions about other things."""
    random = np.random.default_rng(seed)
    templates, things, edits = LANGUAGES[language]
    half, rows = len(things) // 2, []
    for number in range(pairs):
        template = templates[random.integers(len(templates))]
        first, second, third = random.permutation(half)[:3]
        a, b = (int(value) for value in random.integers(11, 900, 2))
        one = template.format(things[first], things[second], a=a, b=b)
        same = number % 2 == 0
        if same:
            changed = [text for edit in edits if (text := edit(one)) != one]
            other = changed[random.integers(len(changed))]
        elif "{0}" not in template or ("{a}" in template and random.random() < 0.5):
            other = template.format(things[first], things[second], a=a + int(random.integers(1, 9)), b=b)
        else:
            other = template.format(things[third], things[second], a=a, b=b)
        clean = template.format(things[half + first], things[half + second], a=a + 1000, b=b + 1000)
        rows.append((one, other, same, clean))
    return pl.DataFrame(rows, schema=["one", "other", "same", "clean"], orient="row")


def duplicates_found(pairs: pl.DataFrame) -> list[bool]:
    """Whether one of each pair goes, each pair alone: they have choices of their own, so that no other pair plays a part."""
    rows = [
        Question(source="s", source_row=f"{side} {number}", task="search", text=text, answer="it", choices=["it", f"pair {number}"], answer_type="short_text")
        for side in ("one", "other")
        for number, text in enumerate(pairs[side])
    ]  # fmt: skip
    table = to_frame(rows, Question).with_columns(first_seen=pl.lit(1), pictures=pl.col("images"))
    kept = inexact.apply(exact.apply(table)[0], Duplicates())[0]
    left = Counter(kept["choices"].list.last())
    return [left[f"pair {number}"] == 1 for number in range(len(pairs))]


def leaks_found(pairs: pl.DataFrame, column: str) -> list[bool]:
    """Whether each text of a column is a hit of the evaluation set that is made of the originals."""
    texts = {"text": pairs["one"], "benchmark": "b", "row": [str(n) for n in range(len(pairs))], "has_image": False}
    asked = {"text": pairs[column], "question_id": texts["row"], "images": [[] for _ in range(len(pairs))]}
    questions = pl.DataFrame(asked, schema_overrides={"images": pl.List(pl.String)})
    found = set(contamination.hits(questions, pl.DataFrame(texts), Decontamination())["question_id"])
    return [name in found for name in texts["row"]]


def _share(found: np.ndarray) -> dict[str, object]:
    low, high = pl.select(low=(ends := wilson(pl.lit(int(found.sum())), pl.lit(len(found))))[0], high=ends[1]).row(0)
    return {"share": round(float(found.mean()), 3), "from": round(low, 3), "to": round(high, 3), "n": len(found)}


def measure(pairs: int = 400, seed: int = 0) -> dict[str, dict[str, dict[str, object]]]:
    """The shares that are found, by language."""
    figures = {}
    for language in LANGUAGES:
        table = make(language, pairs, seed)
        same = table["same"].to_numpy()
        is_original = table["other"].is_in(table["one"].implode()).to_numpy()  # by chance, of another pair
        twins, leaks = np.array(duplicates_found(table)), np.array(leaks_found(table, "other"))
        figures[language] = {
            "duplicates: recall": _share(twins[same]),
            "duplicates: false alarms": _share(twins[~same]),
            "evaluation sets: recall": _share(leaks[same]),
            "evaluation sets: false alarms": _share(leaks[~same & ~is_original]),
            "evaluation sets: clean": _share(np.array(leaks_found(table, "clean"))),
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.questions.languages", description=str(__doc__).splitlines()[0]
    )
    parser.add_argument("--pairs", type=int, default=400)
    figures = measure(parser.parse_args().pairs)
    names = list(next(iter(figures.values())))
    print(f"| language | {' | '.join(names)} |\n|{'---|' * (len(names) + 1)}")
    for language, shares in figures.items():
        cells = [f"{one['share']:.3f} ({one['from']:.3f} to {one['to']:.3f}; {one['n']})" for one in shares.values()]
        print(f"| {language} | {' | '.join(cells)} |")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
