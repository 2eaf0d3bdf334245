"""The type of an answer of which only the text is known."""

import pytest

from records.question import Question
from records.recipe import Source
from sources.contract import Draft
from sources.mapping.answer_type import infer
from sources.mapping.row import to_draft
from sources.mapping.settings import MappingOptions
from verdicts.rules import judge

SPEC = Source(name="src", loader="files")


def fields(answer):
    made = to_draft(SPEC, MappingOptions(task="math"), 4, {"question": "1+1?", "answer": answer})
    assert isinstance(made, Draft), made
    return made.fields


NOTATIONS = [
    (r"\frac{1}{2}", "expression", ["1/2", "0.5", r"\frac12"]),
    (r"2\sqrt{3}", "expression", ["2*sqrt(3)", r"\sqrt{12}", "2√3"]),
    ("sqrt(2)", "expression", [r"\sqrt{2}", "√2"]),
    ("x^2+1", "expression", ["1+x^2", "x**2+1"]),
    ("y=2x+1", "expression", ["y = 1+2x"]),
    ("12π", "expression", [r"12\pi"]),
    ("(3, 4)", "expression", [r"\left(3,4\right)"]),
    ("2^{10}", "expression", ["1024"]),
    ("3/4", "number", ["0.75", r"\frac{3}{4}", "75%"]),
    ("1 1/2", "number", ["1.5", "3/2"]),
    ("90°", "number", ["90", "90 degrees", r"90^\circ"]),
    (r"60^\circ", "number", ["60", "60°", "60 degrees"]),
    (r"60^{\circ}", "number", ["60", "60°"]),
    ("$5$", "number", ["5", "5.0"]),
    ("$4.20", "number", ["4.20", "4.2"]),
    ("1.5e3", "number", ["1500", r"1.5\times 10^3"]),
    ("5 cm", "number", ["5", "5cm", r"5\text{ cm}"]),
    (r"17 \text{ cm}", "number", ["17", "17 cm"]),
    (r"50\%", "number", ["50", "50%", "0.5"]),
    ("1.5 million", "number", ["1,500,000"]),
    ("−5", "number", ["-5"]),  # noqa: RUF001
    ("1,234.5", "number", ["1234.5"]),
    (r"\text{Evelyn}", "short_text", ["Evelyn", "evelyn"]),
    ("right-angled", "short_text", ["Right angled"]),
    ("5-10", "short_text", ["5–10"]),  # noqa: RUF001
    ("2020-05-01", "short_text", ["2020-05-01"]),
    ("Yes", "boolean", ["true"]),
    ("5 feet", "number", ["5", "5 ft", "5 foot"]),
    ("5 apples", "number", ["5", "five apples", "5.0"]),
    ("3/4 cup", "number", ["0.75", "3/4", "0.75 cups"]),
    ("60 miles per hour", "number", ["60 mph", "60"]),
    ("12 square units", "number", ["12"]),
    ("25 cm²", "number", ["25", "25 square centimeters"]),
    ("5万", "number", ["50000"]),
    ("2.5M", "number", ["2,500,000"]),
    ("3个", "number", ["3"]),
    ("½", "number", ["0.5"]),
    ("12 Angry Men", "short_text", ["12 angry men"]),
    ("5 or 6", "short_text", ["5 or 6"]),
    ("4 July", "short_text", ["July 4"]),
]


@pytest.mark.parametrize(("answer", "kind", "same"), NOTATIONS)
def test_the_type_of_an_answer_lets_right_ones_in_other_notation_be_right(answer, kind, same):
    question = Question(**fields(answer))
    assert question.answer_type == kind
    assert [given for given in [answer, *same] if not judge(given, question).correct] == []
    assert not judge("7777", question).correct


def test_expressions_are_of_mathematics_alone():
    assert [infer(a, "search") for a in ("x^2+1", "2 May", "1990s", ".", "-", "%", "")] == ["short_text"] * 7
    assert [infer(a) for a in ("3 km", "-3", "True")] == ["number", "number", "boolean"]
