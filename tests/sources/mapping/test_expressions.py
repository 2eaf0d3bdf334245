"""Small expressions over a row: what they read, what they give, and how wrong ones are told."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.mapping.choices import choice_letter, read_choices, unlabelled
from sources.mapping.expressions import (
    MAX_PATTERN_TEXT,
    MAX_TEXT,
    ExpressionError,
    compiled,
    function_names,
    last_boxed,
)
from sources.mapping.listed_options import inline_choices, without_choices

ROW = {
    "messages": [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "<image>\nWhich? (A) red (B) blue"},
        {"role": "assistant", "content": "<answer>x</answer> so <answer>B</answer>"},
    ],
    "gold": {"truth": "2", "style": "rule"},
    "n": 3,
    "names": ["a", "b", None],
    "aliases": '["two", "zwei"]',
    "printed": "['two', None]",
    "solution": "so \\boxed{1} is \\boxed{\\frac{1}{2}}",
    "a-b": "dash",
    "two words": "space",
    "n + 1": "odd",
    "nothing": None,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("n", 3),
        ("a-b", "dash"),
        ("two words", "space"),
        ("missing", None),
        ("gold.truth", "2"),
        ("messages[?role=='user'].content | [0]", "<image>\nWhich? (A) red (B) blue"),
        ("regex(messages[-1].content, '(?s).*<answer>(.*?)</answer>')", "B"),
        ("regex(gold.truth, '[0-9]')", "2"),
        ("regex(gold.truth, 'x(.)')", None),
        ("replace(messages[1].content, '<image>\\s*', '')", "Which? (A) red (B) blue"),
        ("boxed(solution)", "\\frac{1}{2}"),
        ("parse_json(aliases)", ["two", "zwei"]),
        ("parse_json(printed)", ["two", None]),
        ("parse_json(names)", ["a", "b", None]),
        ("parse_json('(1, 2)')", [1, 2]),
        ("parse_json(' ')", None),
        ("split('a / b', '/')", ["a", "b"]),
        ("strip('  a ')", "a"),
        ("concat('images/', n, '.png')", "images/3.png"),
        ("concat('images/', names)", ["images/a", "images/b"]),
        ("concat('images/', nothing)", None),
        ("inline_choices(messages[1].content)", ["red", "blue"]),
        ("without_choices(messages[1].content)", "<image>\nWhich?"),
        ("unlabelled(['A) x', 'B) y'])", ["x", "y"]),
        ('lookup(`["a", "b", "c"]`, `[1, [2]]`, `["c", "b", "b", "a", "d"]`)', [[2], 1]),
        ("letter(n)", "D"),
        ("letter(`26`)", None),
        ("gold.style == 'rule' && n || gold", 3),
        ("[regex(nothing, 'a'), replace(nothing, 'a', ''), boxed(nothing), split(nothing, ',')]", [None] * 4),
        ("[strip(nothing), inline_choices(nothing), without_choices(nothing), unlabelled(nothing)]", [None] * 4),
        ("lookup(nothing, names, names)", None),
        ("[letter(nothing), parse_json(nothing)]", [None] * 2),
    ],
)
def test_values(text, value):
    if "['" in text:  # a list written out is `…` in JMESPath
        text = re.sub(r"\[('.*)\]", lambda m: "`[" + m[1].replace("'", '"') + "]`", text)
    assert compiled(text).value(ROW) == value


def test_a_column_named_like_an_expression_is_that_column():
    row = {"a.b": 1, "length(c)": 2}
    assert compiled("a.b").value(row) == 1 and compiled("a.b").value({"a": {"b": 3}}) == 3
    assert compiled("length(c)").value(row) == 2 and compiled("length(c)").value({"c": "xyz"}) == 3


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("question", ["question"]),
        ("gold.truth", ["gold", "gold.truth"]),
        ("messages[?role=='user'].content | [0]", ["messages", "messages.role", "messages.content"]),
        ("concat(a, '/', b.c)", ["a", "b", "b.c"]),
        ("a || b && !c", ["a", "b", "c"]),
        ("sort_by(items, &size)[0].name", ["items"]),
        ("items[].{x: y, z: w}", ["items", "items.y", "items.w"]),
        ("@.a.b", ["a", "a.b"]),
        ("a[?type(@) == 'string']", ["a"]),
        ("a | keys(@)", ["a"]),
        ("groups.*.name", ["groups"]),
        ("parse_json(message)[?role=='user'].content", ["message"]),
        ("'constant'", []),
    ],
)
def test_the_fields_an_expression_reads(text, paths):
    assert [".".join(path) for path in compiled(text).paths] == paths


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("boxed(answer", "neither a column name nor an expression"),
        ("a ||", "neither a column name nor an expression"),
        ("", "neither a column name nor an expression"),
        ("unbox(answer)", r"there is no function unbox\(\); known: .*boxed"),
        ("a[?unbox(@)]", "there is no function unbox"),
        ("boxed(a, b)", r"boxed\(\) takes 1 argument\(s\), 2 given"),
        ("concat()", r"concat\(\) takes 1 argument"),
        ("regex(a, '(')", "not a regular expression"),
        ("regex(a, '(a)(b)')", "the pattern has 2 groups"),
        ("regex(a, `3`)", "not a regular expression"),
        ("keys(@)", "takes the row as a whole"),
        ("@", "takes the row as a whole"),
        ("*", "takes the row as a whole"),
        ("to_string(@ | @)", "takes the row as a whole"),
        ("a || @", "takes the row as a whole"),
    ],
)
def test_wrong_expressions_are_refused_before_any_row(text, message):
    with pytest.raises(ExpressionError, match=message):
        compiled(text)


@pytest.mark.parametrize(
    ("text", "row", "message"),
    [
        ("boxed(a)", {"a": 3}, r"boxed\(a\): .*invalid type for value: 3"),
        ("parse_json(a)", {"a": "{broken"}, "no JSON"),
        ("parse_json(a)", {"a": "[" * 50_000}, "."),
        ("parse_json(a)", {"a": "{'a', 'b'}"}, "no JSON"),
        ("parse_json(a)", {"a": "-" * 500_000 + "1"}, "."),
        ("letter(a)", {"a": "x"}, "invalid type"),
        ("concat(a, b)", {"a": ["x"], "b": ["y"]}, "one list at most"),
        ("concat(a)", {"a": {"x": 1}}, "."),
        ("length(a)", {}, "invalid type"),
        ("regex(a, b)", {"a": "x", "b": "("}, "."),
        ("regex(a, 'x')", {"a": "y" * (MAX_PATTERN_TEXT + 1)}, f"at most {MAX_PATTERN_TEXT} are taken"),
        ("replace(a, 'x', '')", {"a": "y" * (MAX_PATTERN_TEXT + 1)}, "are taken"),
        ("inline_choices(a)", {"a": "y" * (MAX_TEXT + 1)}, "are taken"),
    ],
)
def test_what_fails_on_a_row_is_an_expression_error(text, row, message):
    with pytest.raises(ExpressionError, match=message) as caught:
        compiled(text).value(row)
    assert len(str(caught.value)) <= 500


def test_the_functions_are_those_of_the_docs():
    ours = {"boxed", "concat", "inline_choices", "letter", "parse_json", "regex", "replace", "split", "strip"}
    assert ours | {"without_choices", "unlabelled", "join", "contains"} <= set(function_names())


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        (r"\boxed{a} then \boxed{b}", "b"),
        (r"\boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"\boxed {x}", "x"),
        (r"\fboxed{7}", "7"),
        (r"\\boxed{8}", "8"),
        (r"\boxed{a \boxed{b} c}", "b"),
        (r"} \boxed{c}}", "c"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{1} and \boxed{2", "1"),
        (r"\boxed{never", None),
        ("no box", None),
        (r"\boxed{}", ""),
    ],
)
def test_the_last_box(text, inside):
    assert last_boxed(text) == inside


def test_boxes_that_never_close_take_time_in_proportion():
    start = time.process_time()
    assert last_boxed(r"\boxed{" * 100_000) is None
    assert time.process_time() - start < 5  # the square of that is minutes


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="ab{}\\ ", max_size=20).filter(lambda t: "boxed" not in t))
def test_a_box_holds_what_was_put_in_if_its_braces_balance(inside):
    depth, lowest = 0, 0
    for sign in re.finditer(r"\\.|[{}]", inside, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(sign[0], 0)
        lowest = min(lowest, depth)
    if depth == lowest == 0 and not re.search(r"(?<!\\)(?:\\\\)*\\$", inside):
        assert last_boxed(f"so \\boxed{{{inside}}} it is") == inside.strip()


@pytest.mark.parametrize(
    ("text", "before", "options"),
    [
        ("Which? (A) red (B) blue", "Which?", ["red", "blue"]),
        ("Which?\nOptions:\nA. red\nB. blue\nC. Mr. Green", "Which?", ["red", "blue", "Mr. Green"]),
        ("Which?\nA) red\nB) blue\nAnswer with the letter.", "Which?", ["red", "blue"]),
        ("Which? Choices: A: red, B: blue", "Which?", ["red", "blue"]),
        ("Which? A. red; B. blue", "Which?", ["red", "blue"]),
        ("Is vitamin (A) or (C) in it?\n(A) yes\n(B) no", "Is vitamin (A) or (C) in it?", ["yes", "no"]),
        ("Choices:\n(A) 1,000\n(B) 2,000\n\nGive the letter.", "", ["1,000", "2,000"]),
        ("**A.** x\nWhich?", "**A.** x\nWhich?", []),
        ("What did J. A. Smith see?", "What did J. A. Smith see?", []),
        ("In Fig. (A), how many?", "In Fig. (A), how many?", []),
        ("", "", []),
    ],
)
def test_options_inside_a_text(text, before, options):
    assert (without_choices(text), inline_choices(text)) == (before, options)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.from_regex(r"[a-z]{1,6}( [a-z0-9]{1,5}){0,2}", fullmatch=True), min_size=2, max_size=8),
    st.sampled_from(["({}) ", "{}. ", "{}) ", "{}: "]),
    st.sampled_from(["\n", "\nOptions:\n", "\nChoices:\n"]),
)
def test_options_written_into_a_text_are_found_again(options, mark, heading):
    listed = "\n".join(mark.format(chr(65 + i)) + option for i, option in enumerate(options))
    assert inline_choices(f"what is it?{heading}{listed}") == options
    assert without_choices(f"what is it?{heading}{listed}") == "what is it?"


def test_labels_are_taken_off_only_if_each_option_has_its_own():
    assert unlabelled(["A) x", "B) y"]) == ["x", "y"] == unlabelled(["[A] x", "(b)y"])
    assert unlabelled(["A. x", "B: y", "C)z"]) == ["x", "y", "z"]
    for options in (
        ["B. cereus", "E. coli"],
        ["A. baumannii", "E. coli"],
        ["A) x", "y"],
        ["A) x", "A) y"],
        ["A:1", "B:2"],
    ):
        assert unlabelled(options) == options


def test_choices_in_every_form():
    assert read_choices(["x", 2, 3.0]) == (["x", "2", "3"], [])
    assert read_choices({"text": ["x", "y"], "label": ["1", "2"]}) == (["x", "y"], ["1", "2"])
    assert read_choices({"A": "x", "B": "y", "C": None}) == (["x", "y"], ["A", "B"])
    assert read_choices(None) == ([], []) == read_choices({"text": None, "label": None})
    choices, labels = read_choices({"A": "x", "B": "y", "C": None})
    assert [choice_letter(a, choices, labels, 0) for a in ("B", "y", "b", "B:")] == ["B"] * 4


def test_hostile_texts_take_time_in_proportion():
    count = 200_000
    began = time.process_time()
    assert last_boxed("\\" * count) is None
    assert last_boxed("\\boxed" + " " * count) is None
    assert last_boxed("\\boxed{1} " + "\\ " * (count // 2)) == "1"
    assert last_boxed("\\\\\\\\boxed{2}") == "2" and last_boxed("\\{\\boxed{3}\\}") == "3"
    marks = "\n(A) x (B) y"
    for filler in (" ", "\n", " options", "Options: ", "options\t"):
        text = filler * (count // len(filler)) + "." + marks
        assert without_choices(text).endswith(".") and inline_choices(text) == ["x", "y"]
    assert without_choices("Which? Options:" + " \n" * (count // 2) + marks) == "Which?"
    assert time.process_time() - began < 1
