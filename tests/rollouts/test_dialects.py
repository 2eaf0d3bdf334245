import gc
import json
import time
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from records.images.store import ImageStore
from records.recipe.section import RecipeError
from records.trajectory import Block, Message, ToolCall, text_message
from rollouts.dialects import dialect_names, get_dialect


def tool(name, argument):
    properties = {argument: {"type": "string"}}
    return SimpleNamespace(name=name, description=f"{name}.", parameters={"type": "object", "properties": properties})


TOOLS = [tool("python", "code"), tool("search", "query")]
plain, deepeyes = get_dialect("plain_tags"), get_dialect("deepeyes_v2")
# a body that does not itself hold a tag or a fence; those cannot be written in tags at all
bodies = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<`\r"), min_size=1, max_size=80).filter(
    lambda body: not body.startswith("\n") and not body.endswith("\n")
)


@pytest.mark.parametrize("name", dialect_names())
@pytest.mark.parametrize("call", ["python", "search"])
@given(body=bodies)
def test_a_call_survives_writing_and_reading_byte_for_byte(name, call, body):
    dialect = get_dialect(name)
    arguments = json.dumps({"code" if call == "python" else "query": body}, ensure_ascii=False)
    written = dialect.assistant_text(Message(role="assistant", tool_calls=[ToolCall(name=call, arguments=arguments)]))
    read = dialect.parse(written, "stop", TOOLS)
    assert [(c.name, json.loads(c.arguments)) for c in read.tool_calls] == [(call, json.loads(arguments))]
    assert read.raw == written


@pytest.mark.parametrize("name", dialect_names())
@given(text=st.text(max_size=200), finish=st.sampled_from(["stop", "length"]))
def test_any_text_is_read_as_something(name, text, finish):
    dialect = get_dialect(name)
    message = dialect.parse(text, finish, TOOLS)
    assert message.role == "assistant" and message.raw is not None
    assert dialect.assistant_text(message) == message.raw


PIECES = ["<answer>", "</answer>", "<think>", "</think>", "<search>", "</search>", "<code>", "</code>", "<tool_call>",
          "</tool_call>", "<result>", "\n", " ", "x", "it's ", "1", "# ", "```", "```python\n", "'", '"', "'\'\'", "\\",
          '"<python>"', '"</python>"', "'</code>'"]  # fmt: skip
pieces = st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map("".join)


@pytest.mark.parametrize("name", dialect_names())
@given(code=pieces)
@example('"""\n</think>\n')
@example("print('<answer>4</answer>')")
def test_any_code_survives_whose_own_tags_are_in_strings(name, code):
    own = "python" if name == "plain_tags" else "code"
    code = f"y {code} y".replace(f"<{own}>", "").replace(f"</{own}>", "")
    code += {"plain_tags": "\nprint('<python>', \"</python>\")", "deepeyes_v2": "\nprint('<code>', \"</code>\")"}[name]
    dialect, arguments = get_dialect(name), json.dumps({"code": code})
    written = dialect.assistant_text(
        Message(role="assistant", reasoning="so", tool_calls=[ToolCall(name="python", arguments=arguments)])
    )
    for text in (written, written.removesuffix(f"</{own}>")):
        read = dialect.parse(text, "stop", TOOLS)
        # without its end, code that leaves a string open is half a call, and a tag in it that is not in a string may
        # be the one that the stop string ended; and what looks like a result on its own line ends it
        made_up = text != written and any(tag in code for tag in ("<result>", "<tool_response>", "Code execution"))
        if text == written or (not made_up and [call.name for call in read.tool_calls] == ["python"]):
            assert [json.loads(c.arguments)["code"] for c in read.tool_calls] == [code] and read.reasoning == "so"


@pytest.mark.parametrize("name", dialect_names())
@given(thought=pieces.filter(lambda thought: "</think>" not in thought))
def test_nothing_in_a_thought_is_an_action_and_it_is_read_back(name, thought):
    dialect = get_dialect(name)
    written = dialect.assistant_text(Message(role="assistant", reasoning=f"<answer>{thought}", answer="4"))
    read = dialect.parse(written, "stop", TOOLS)
    assert (read.answer, read.reasoning) == ("4", f"<answer>{thought}".strip())
    for cut in range(len("<think>"), written.index("</think>")):
        assert dialect.parse(written[:cut], "stop", TOOLS).answer is None
    if "<think>" not in thought:  # as where the chat template has opened it
        opened = written.removeprefix("<think>")
        assert dialect.parse(opened, "stop", TOOLS).answer == "4" and dialect.tidy_thoughts(opened, TOOLS)


@pytest.mark.parametrize("name", dialect_names())
@given(text=pieces, finish=st.sampled_from(["stop", "length"]), stopped_by=st.sampled_from([None, "", "</answer>"]))
@example(text="<code><answer># <answer>", finish="stop", stopped_by=None)
@example(text="<python><answer># <answer>", finish="stop", stopped_by=None)
@example(text="<code>```python\n'<code>'</code>'", finish="stop", stopped_by=None)
def test_what_was_read_is_read_again_the_same(name, text, finish, stopped_by):
    dialect = get_dialect(name)
    first = dialect.parse(text, finish, TOOLS, stopped_by)
    again = dialect.parse(first.raw, "length", TOOLS)
    if first.answer is not None or first.tool_calls:
        assert (again.answer, again.tool_calls, again.raw) == (first.answer, first.tool_calls, first.raw)
    else:
        assert first.raw == text


HOSTILE = [
    "<answer>", "</answer>", "<think>", "</think>", "<python>", "</python>", "<python>'", "<python># </python>",
    '<tool_call>\\"', '<tool_call>"', "<code>'\'\'", "<code>\n\"\"\"", "<answer>\n</think>", "<search>", "<result>",
    "<think></think>", "<python>x</python> <result>", "<|im_end|> ", "```\n", "<answer>x</answer>", "<python>\\\"",
]  # fmt: skip


@pytest.mark.parametrize("name", dialect_names())
@pytest.mark.parametrize("hostile", HOSTILE)
def test_reading_grows_with_the_length_of_a_text(name, hostile):
    """Sixteen times the text takes about sixteen times the work; were that squared, 256 times."""
    dialect = get_dialect(name)

    def seconds(size):
        text, best = hostile * (size // len(hostile)), float("inf")
        for _ in range(2):
            before = time.process_time()
            dialect.parse(text, "stop", TOOLS)
            best = min(best, time.process_time() - before)
        return best

    gc.disable()  # its work is not that of reading
    try:
        small, large = seconds(5_000), seconds(80_000)
    finally:
        gc.enable()
    assert large < 80 * max(small, 0.001)


def test_code_keeps_its_indentation():
    code = "for i in range(2):\n    if i:\n\tprint(i)\n  # odd\nprint('out')"
    for dialect, text in (
        (plain, f"<python>\n{code}\n</python>"),
        (deepeyes, f"<code>\n```python\n{code}\n```\n</code>"),
    ):
        assert json.loads(dialect.parse(text, "stop", TOOLS).tool_calls[0].arguments)["code"] == code


def test_a_tag_is_closed_when_the_server_dropped_it_and_ignored_when_cut_off():
    assert plain.parse("<answer>4", "stop", TOOLS).answer == "4"
    assert plain.parse("<answer>4", "length", TOOLS).answer is None
    assert plain.parse("<python>\nprint(1", "length", TOOLS).tool_calls == []
    assert plain.parse("<python>\nprint(1)", "stop", TOOLS).raw == "<python>\nprint(1)</python>"


def test_what_follows_the_first_action_is_no_part_of_the_turn():
    message = plain.parse("<python>\n1\n</python><result>2</result><answer>2</answer>", "stop", TOOLS)
    assert message.answer is None and message.raw == "<python>\n1\n</python>"


def test_without_tools_a_call_is_only_text():
    message = plain.parse("<python>print(1)</python>", "stop", [])
    assert message.tool_calls == [] and message.answer is None


def test_tags_in_thought_are_no_action_in_deepeyes():
    text = "<think>maybe <answer>3</answer>?</think>\n<answer>4</answer>"
    message = deepeyes.parse(text, "stop", TOOLS)
    assert message.answer == "4" and message.reasoning == "maybe <answer>3</answer>?"


@pytest.mark.parametrize(
    "body", ["{", "[]", '{"name": 3}', '{"arguments": {}}', '{"name": "search", "arguments": "x"}']
)
def test_an_unreadable_call_keeps_its_text(body):
    call = deepeyes.parse(f"<tool_call>{body}</tool_call>", "stop", TOOLS).tool_calls[0]
    assert call.name == "(unreadable)" and json.loads(call.arguments) == {"text": body}


def test_deepeyes_asks_for_its_special_tokens_and_drops_the_end_token():
    assert deepeyes.extra["skip_special_tokens"] is False
    assert deepeyes.parse("<answer>4</answer><|im_end|>", "stop", TOOLS).raw == "<answer>4</answer>"


def test_observations_become_user_turns_and_images_data_uris(tmp_path):
    from PIL import Image

    Image.new("RGB", (4, 4)).save(tmp_path / "i.png")
    store = ImageStore(str(tmp_path / "store"))
    image = store.put((tmp_path / "i.png").read_bytes())
    messages = [
        text_message("system", "s"),
        Message(role="user", content=[Block(type="image", image=image), Block(type="text", text="q")]),
        Message(role="assistant", raw="<python>1</python>"),
        Message(role="tool", name="python", content=[Block(type="image", image=image), Block(type="text", text="1")]),
    ]
    blind = plain.training_turns(messages, None)
    assert [m["role"] for m in blind] == ["system", "user", "assistant", "user"]
    assert blind[1]["content"] == "q" and "1 image(s) returned" in blind[3]["content"]
    seeing = plain.training_turns(messages, store)
    for turn in (seeing[1], seeing[3]):
        assert [block["type"] for block in turn["content"]] == ["image_url", "text"]
        assert turn["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")


def test_an_unknown_dialect_is_refused():
    with pytest.raises(RecipeError, match="no dialect 'klingon'; known: deepeyes_v2, plain_tags"):
        get_dialect("klingon")
