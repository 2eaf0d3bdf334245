"""The arms' prompts: what they have in common, and the one thing in which each differs."""

from types import SimpleNamespace

import pytest

from records.question import TASKS, Question
from records.trajectory import ToolResult, tool_message
from rollouts.dialects import dialect_names, get_dialect
from rollouts.prompts.build import FOUND_OUT, PromptSetting, build_prompt, template_fingerprint
from rollouts.prompts.examples import read_examples
from rollouts.prompts.forms import FORMS, Form
from rollouts.withheld import NOTICE

EXAMPLES = read_examples()
IMAGES = ["0" * 64, "1" * 64]
RESULTS = (
    tool_message("python", ToolResult(outcome="ok", text="a red circle")),
    tool_message("search", ToolResult(outcome="raised", text="Oops", images=["2" * 64])),
)


def tool(name, argument):
    properties = {argument: {"type": "string"}}
    return SimpleNamespace(name=name, description=f"{name}.", parameters={"type": "object", "properties": properties})


TOOLS = {
    "perception": [tool("python", "code")],
    "math": [tool("python", "code")],
    "search": [tool("search", "query")],
}
each_task = pytest.mark.parametrize("task", TASKS)
each_dialect = pytest.mark.parametrize("dialect", [get_dialect(name) for name in dialect_names()], ids=dialect_names())


def question(task, images=(), choices=()):
    return Question(
        source="s", source_row="1", task=task, text="Which one?", images=list(images), choices=list(choices),
        answer="left", answer_type="short_text",
    )  # fmt: skip


def prompt(task, dialect, form, given=(), sees_images=True, examples=EXAMPLES, **more):
    how = PromptSetting(dialect, examples, sees_images)
    return build_prompt(question(task, **more), how, TOOLS[task], form if form is None else FORMS[form], given)


def written(messages, dialect):
    """Characters that the model writes in each worked example."""
    lengths = []
    for message in messages:
        if message.role == "user":
            lengths.append(0)
        elif message.role == "assistant":
            lengths[-1] += len(dialect.assistant_text(message))
    return lengths[:-1]


@each_task
@each_dialect
def test_all_arms_have_the_same_instructions_examples_and_answers(task, dialect):
    arms = {form: prompt(task, dialect, form) for form in FORMS}
    assert arms["call_only"][0] == arms["tools"][0]
    assert arms["result_only"][0] == arms["oracle"][0] == arms["direct"][0]
    assert arms["tools"][0].text.startswith(EXAMPLES.system.strip())
    assert TOOLS[task][0].description in arms["tools"][0].text
    assert TOOLS[task][0].description not in arms["direct"][0].text
    assert dialect.instructions([]) in arms["direct"][0].text
    shown = EXAMPLES.of(task)
    assert len(shown) >= 2
    for messages in arms.values():
        asked = [message.text for message in messages if message.role == "user"]
        assert len(asked) == len(shown) + 1
        for text, example in zip(asked, shown, strict=False):
            assert text.startswith(example.question)
        assert [m.answer for m in messages if m.answer is not None] == [example.answer for example in shown]


@each_task
@each_dialect
def test_calls_without_results_differ_from_tools_in_the_results_and_what_leads_from_them(task, dialect):
    tools, call_only = prompt(task, dialect, "tools"), prompt(task, dialect, "call_only")
    assert [m.role for m in tools] == [m.role for m in call_only]
    examples = iter(EXAMPLES.of(task))
    results = 0
    for with_result, without in zip(tools, call_only, strict=True):
        if without.role == "tool":
            assert without.text == NOTICE and without.name == with_result.name and with_result.text != NOTICE
            results += 1
        elif without.answer is not None:
            example = next(examples)
            assert (without.reasoning, with_result.reasoning) == ("", example.conclude)
            assert without.model_copy(update={"reasoning": example.conclude}) == with_result
        else:
            assert without == with_result
    assert results == sum(len(example.steps) for example in EXAMPLES.of(task))


@each_task
@each_dialect
@pytest.mark.parametrize("form", ["result_only", "oracle"])
def test_results_without_calls_differ_from_direct_in_what_is_given(task, dialect, form):
    direct, given = prompt(task, dialect, "direct"), prompt(task, dialect, form, RESULTS)
    assert [m.role for m in given] == [m.role for m in direct]
    assert not any(m.tool_calls for m in given)
    examples = EXAMPLES.of(task)
    expected = [[step.result for step in example.steps] for example in examples] + [[r.text for r in RESULTS]]
    turns = [(d, g) for d, g in zip(direct, given, strict=True) if d.role == "user"]
    for (without, with_results), texts in zip(turns, expected, strict=True):
        before, lead, after = with_results.text.partition(f"\n{FOUND_OUT}\n")
        assert lead and before == without.text
        assert [text in after for text in texts] == [True] * len(texts) and NOTICE not in after
    observed = [
        dialect.observation_text(turn) for turn in (*RESULTS, *prompt(task, dialect, "tools")) if turn.role == "tool"
    ]
    together = "\n".join(turn.text for turn in given)
    assert all(text in together for text in observed)  # in the words in which an attempt with tools reads them
    for one, other, example in zip(direct[2::2], given[2::2], examples, strict=True):
        assert (one.reasoning, other.reasoning) == (example.direct, example.conclude)
        assert other.model_copy(update={"reasoning": example.direct}) == one


@each_task
@each_dialect
def test_the_model_writes_about_as_much_in_direct_as_with_tools(task, dialect):
    direct, tools = written(prompt(task, dialect, "direct"), dialect), written(prompt(task, dialect, "tools"), dialect)
    for example, *rendered in zip(EXAMPLES.of(task), direct, tools, strict=True):
        by_tool = sum(len(s.say) + sum(map(len, s.arguments.values())) for s in example.steps) + len(example.conclude)
        bare = [len(example.direct), by_tool]
        if max(bare) > 100:
            assert max(bare) <= 1.6 * min(bare) and max(rendered) <= 1.6 * min(rendered), example.question
        else:  # what a dialect puts around a short call is longer than the call
            assert max(bare) - min(bare) <= 80, example.question


def test_the_long_examples_are_worked_out_one_by_one():
    ways = [example.direct for example in EXAMPLES.perception]
    assert all(350 <= len(way) <= 500 and not way.rstrip().endswith(".") for way in ways)
    for way, example in zip(ways, EXAMPLES.perception, strict=True):
        words = [set(other.split()) for other in ways if other != way]
        assert len(words) == len(ways) - 1
        # what the code looks at: the colors, the shape's outline and the box around it
        assert all(color in way for color in ("red", "green", "blue", "yellow", "black", "gray", "teal", "brown"))
        kind = example.steps[0].result.split()[-1]
        assert kind in way or kind == example.answer
        assert all(len(set(way.split()) - other) >= 15 for other in words)


@each_task
@each_dialect
def test_what_tools_returned_in_the_examples_reaches_only_the_arms_that_show_it(task, dialect):
    marked = [
        example.model_copy(update={"steps": [s.model_copy(update={"result": "SECRET"}) for s in example.steps]})
        for example in EXAMPLES.of(task)
    ]
    examples = EXAMPLES.model_copy(update={task: marked})
    for form in FORMS:
        changed = prompt(task, dialect, form, examples=examples) != prompt(task, dialect, form)
        assert changed == (form in ("tools", "result_only", "oracle")), form
        hows = [PromptSetting(dialect, shown, True) for shown in (EXAMPLES, examples)]
        before, after = (template_fingerprint(task, how, TOOLS[task], FORMS[form]) for how in hows)
        assert (before != after) == changed


@each_task
@each_dialect
def test_every_arm_has_a_fingerprint_of_its_own(task, dialect):
    how = PromptSetting(dialect, EXAMPLES, True)
    prints = {name: template_fingerprint(task, how, TOOLS[task], form) for name, form in FORMS.items()}
    assert len(set(prints.values())) == len(FORMS)
    # without a form it is the tools that say which arm it is
    assert template_fingerprint(task, how, TOOLS[task]) == prints["tools"]
    assert template_fingerprint(task, how, []) == prints["direct"]
    assert prompt(task, dialect, None) == prompt(task, dialect, "tools")
    without = build_prompt(question(task), how, [])
    assert without == prompt(task, dialect, "direct")


@each_dialect
@pytest.mark.parametrize("form", ["result_only", "oracle"])
def test_given_results_stand_behind_the_question_with_choices_and_images_intact(dialect, form):
    more = {"images": IMAGES, "choices": ["left", "right"]}
    direct = prompt("perception", dialect, "direct", **more)[-1]
    assert direct.text == "Which one?\n(A) left\n(B) right" and direct.images == IMAGES
    shown = prompt("perception", dialect, form, RESULTS, **more)[-1]
    assert shown.images == [*IMAGES, "2" * 64]
    assert [block.type for block in shown.content] == ["image"] * 3 + ["text"]
    assert shown.text.startswith(f"{direct.text}\n{FOUND_OUT}\n")
    assert shown.text.index("a red circle") < shown.text.index("Oops")
    blind = prompt("perception", dialect, form, RESULTS, sees_images=False, **more)[-1]
    without = prompt("perception", dialect, "direct", sees_images=False, **more)[-1]
    assert blind.images == [] and blind.text.startswith(f"{without.text}\n{FOUND_OUT}\n")
    rendered = dialect.training_turns([blind], None)[0]
    assert rendered["role"] == "user" and "a red circle" in rendered["content"] and "Oops" in rendered["content"]


@each_dialect
def test_with_nothing_given_the_question_is_asked_as_in_direct(dialect):
    more = {"images": IMAGES, "choices": ["left", "right"]}
    given = prompt("perception", dialect, "result_only", RESULTS, **more)
    nothing = prompt("perception", dialect, "result_only", **more)
    assert nothing[-1] == prompt("perception", dialect, "direct", **more)[-1]
    assert nothing[:-1] == given[:-1]


def test_an_example_without_a_call_is_told_in_words_in_every_arm():
    dialect = get_dialect("plain_tags")
    plain = EXAMPLES.math[0].model_copy(update={"steps": []})
    examples = EXAMPLES.model_copy(update={"math": [plain]})
    for form in FORMS:
        _, asked, told, _ = prompt("math", dialect, form, examples=examples)
        assert asked.text == plain.question and (told.reasoning, told.answer) == (plain.direct, plain.answer)


@each_task
def test_a_new_form_is_its_properties(task):
    """Tools can be called, and results stand in the prompt already."""
    how = PromptSetting(get_dialect("plain_tags"), EXAMPLES, True)
    primed = Form("primed", offers_calls=True, executes_calls=True, prefilled="tool_results", in_examples="words")
    messages = build_prompt(question(task), how, TOOLS[task], primed, RESULTS)
    assert TOOLS[task][0].description in messages[0].text and FOUND_OUT in messages[-1].text
    assert not any(message.tool_calls for message in messages)
    prints = [template_fingerprint(task, how, TOOLS[task], form) for form in (primed, *FORMS.values())]
    assert len(set(prints)) == len(prints)
