"""The loop over the ledger. The model is scripted: the subject is what the loop does with what a model says."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from records.faults import ToolInfrastructureError
from records.images.store import ImageStore
from records.question import Question
from records.recipe import Sampling
from records.trajectory import ToolResult
from rollouts.agent import REMINDER, attempt
from rollouts.dialects import get_dialect
from rollouts.ledger.ledger import Ledger
from rollouts.models.contract import Completion, ContextLengthExceeded, ModelOutage, ModelUnavailable, QuestionRefused
from rollouts.models.endpoint import Endpoint
from rollouts.prompts.build import PromptSetting, build_prompt
from rollouts.prompts.examples import read_examples
from rollouts.setting import Setting, sampling_identity
from rollouts.tool_calls import NoLedger, replay
from rollouts.waves import NOT_AN_ATTEMPT
from tests.support.fault_server import Reply, chat

CALL, ANSWER = "<python>2</python>", "<answer>4</answer>"
QUESTION = Question(source="s", source_row="1", task="math", text="2+2?", answer="4", answer_type="number")


class Scripted:
    """Says its lines, one a call; a line that is an exception is raised."""

    fingerprint = "scripted"

    def __init__(self, *lines):
        self.lines, self.requests = list(lines), []

    async def complete(self, request):
        self.requests.append(request)
        line = self.lines.pop(0)
        if isinstance(line, Exception):
            raise line
        if isinstance(line, Completion):
            return line
        text, finish = line if isinstance(line, tuple) else (line, "stop")
        spent = {"length": request.max_tokens, "cut": 5}.get(finish, 5)
        return Completion(text, "length" if finish == "cut" else finish, 10, spent, seconds=0.5)


class Counter:
    """A stateful tool: `n` more on each call. Fails as often as it is told to."""

    name, description, version = "python", "Counts.", "1"
    parameters = {"type": "object", "properties": {"code": {"type": "string"}}}  # noqa: RUF012

    def __init__(self, faults=0):
        self.faults, self.performed, self.opened = faults, 0, 0

    def open(self, images):
        self.opened += 1
        return CounterSession(self)


class CounterSession:
    def __init__(self, tool):
        self.tool, self.total = tool, 0

    async def call(self, arguments):
        if self.tool.faults:
            self.tool.faults -= 1
            raise ToolInfrastructureError("broken")
        self.tool.performed += 1
        self.total += int(arguments["code"])
        return ToolResult(outcome="ok", text=str(self.total))

    async def close(self):
        pass


def setting(tmp_path, tool, turns=5, total=None):
    sampling = Sampling(temperature=0.5, max_tokens=50, max_turns=turns, total_tokens=total)
    tools = {} if tool is None else {"python": tool}
    return Setting("tools", get_dialect("plain_tags"), tools, sampling, ImageStore(str(tmp_path / "images")))


def prompt_of(question, use, form=None, prefilled=()):
    how = PromptSetting(use.dialect, read_examples(), False)
    return build_prompt(question, how, list(use.tools.values()), form, prefilled)


async def once(tmp_path, model, tool=None, calls=None, turns=5, sample=0, total=None):
    use = setting(tmp_path, tool, turns, total)
    prompt = prompt_of(QUESTION, use)
    return await attempt(QUESTION, prompt, use, sample, model, calls or NoLedger())


async def test_turns_calls_tokens_and_state_are_recorded(tmp_path):
    rollout = await once(tmp_path, Scripted(CALL, CALL, ANSWER), Counter())
    assert [c.result.text for c in rollout.tool_calls] == ["2", "4"]
    assert [m.role for m in rollout.messages] == ["assistant", "tool", "assistant", "tool", "assistant"]
    assert (rollout.answer, rollout.stop_reason) == ("4", "answered")
    assert (rollout.prompt_tokens, rollout.completion_tokens, rollout.seconds) == (30, 15, 1.5)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["I do not know.", "I do\nnot know."], "no_answer"),
        ([("<python>2", "length")], "max_tokens"),
        ([("<python>2", "cut")], "context_length"),  # the server's context ended before the budget it was given
        ([CALL] * 5, "max_turns"),
        ([ContextLengthExceeded("long")], "context_length"),
        ([QuestionRefused("flagged")], "refused"),
        ([("<answer>4</answer>", "filtered")], "refused"),
        ([CALL, ModelUnavailable("gone")], "unfinished"),
    ],
)
async def test_every_end_has_its_reason(tmp_path, lines, reason):
    rollout = await once(tmp_path, Scripted(*lines), Counter())
    assert rollout.stop_reason == reason and rollout.answer is None
    assert bool(rollout.error_class) == (reason in ("unfinished", "refused") or isinstance(lines[0], Exception))


async def test_a_model_that_forgets_the_form_is_reminded_once(tmp_path):
    model = Scripted("It is 4.", ANSWER)
    rollout = await once(tmp_path, model, turns=1)
    assert (rollout.answer, rollout.stop_reason) == ("4", "answered")
    assert [m.role for m in rollout.messages] == ["assistant", "user", "assistant"]
    assert model.requests[1].messages[-1]["content"] == REMINDER


@pytest.mark.parametrize(
    ("reply", "answer"), [("4", "4"), (" 4.\n", "4."), ("4\nor 5", None), ("4" * 200, None), (("4", "length"), None)]
)
async def test_after_the_reminder_one_short_line_is_the_answer(tmp_path, reply, answer):
    rollout = await once(tmp_path, Scripted("It is 4.", reply), turns=1)
    assert rollout.answer == answer


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("```\n4\n```", "4"), ("4</answer>", "4"), ("<think>It is 4.</think>\n4", "4"), ("So.</think>4", "4"),
        ("<audio>", "<audio>"), ("I", "I"), ("Sorrel", "Sorrel"), ("Let it be", "Let it be"),
        ("<answer>", None), ("<think>4", None), ("Use <python> for it", None), ("</answer>", None), ("...", None),
        ("I don't know.", None), ("I am not sure", None), ("Sorry, I cannot.", None), ("Let me think", None),
        ("The final answer is:", None), ("最终答案是\uff1a", None), ("我不知道", None), ("```", None), ("", None),
    ],
)  # fmt: skip
async def test_what_a_bare_answer_is(tmp_path, reply, answer):
    rollout = await once(tmp_path, Scripted("It is 4.", reply), Counter(), turns=2)
    assert (rollout.answer, rollout.stop_reason) == (answer, "answered" if answer else "no_answer")


def apart(reasoning, text="", finish="stop", calls=()):
    native = [{"name": name, "arguments": arguments} for name, arguments in calls]
    return Completion(text, finish, 10, 50 if finish == "length" else 5, 0.5, native, reasoning)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([apart("2+2=4. <answer>4</answer>")], "lost_content"),
        ([apart("I count. <python>2</python>")], "lost_content"),
        ([apart("Hm."), apart("4")], "lost_content"),  # the bare answer that was asked for
        ([apart("Hm."), apart("Hm:\nwell")], "no_answer"),  # it stopped after its thought, twice
        ([apart("Hm. <answer>4", finish="length")], "max_tokens"),  # the thought was cut
        ([apart("", calls=[("python", "{")])], "lost_content"),
        ([apart("", calls=[("calculator", "{}")]), "4"], "answered"),
        ([apart("", calls=[("python", '{"code": "2"}')], finish="tool_calls"), ANSWER], "answered"),
    ],
)
async def test_what_the_server_lost_is_no_attempt(tmp_path, lines, reason):
    model = Scripted(*lines)
    rollout = await once(tmp_path, model, Counter())
    assert rollout.stop_reason == reason and model.lines == []
    assert ("erve the model" in rollout.error_class) == (reason == "lost_content")
    assert (reason in NOT_AN_ATTEMPT) == (reason == "lost_content")


async def test_reasoning_apart_is_kept_and_in_the_history_only_if_asked_for(tmp_path):
    for asked_for in (False, True):
        model = Scripted(apart("First I think.", "<python>2"), ANSWER)
        use = setting(tmp_path, Counter())
        if asked_for:
            use = replace(use, sampling=use.sampling.model_copy(update={"reasoning_in_history": True}))
        rollout = await attempt(QUESTION, prompt_of(QUESTION, use), use, 0, model, NoLedger())
        first = rollout.messages[0]
        assert (first.reasoning, first.reasoning_apart) == ("First I think.", "First I think.")
        assert first.raw == "<python>2</python>" and rollout.answer == "4"
        shown = model.requests[1].messages[-2]["content"]
        assert shown == ("<think>First I think.</think>\n" if asked_for else "") + "<python>2</python>"
    assert "reasoning_in_history" not in sampling_identity(Sampling())
    assert sampling_identity(Sampling(reasoning_in_history=True))["reasoning_in_history"] is True


async def test_a_completion_stored_without_the_newer_fields_is_read(tmp_path):
    old = {"text": ANSWER, "finish_reason": "stop", "prompt_tokens": 1, "completion_tokens": 1, "seconds": 0.1}

    class Old(NoLedger):
        async def once(self, rollout_id, kind, key, make, former=None):
            return old

    rollout = await once(tmp_path, Scripted(), calls=Old())
    assert rollout.answer == "4" and rollout.messages[0].reasoning_apart == ""


@pytest.mark.parametrize(
    ("total", "lines", "asked", "reason"),
    [
        (1000, [CALL, CALL, ANSWER], [50, 50, 50], "answered"),
        (52, [CALL, CALL, ANSWER], [50, 47, 42], "answered"),  # a turn without a limit of its own takes 5
        (10, [CALL, CALL], [10, 5], "max_tokens"),  # nothing is left to read the second result with
        (12, [CALL, CALL, ("<answer>4", "length")], [12, 7, 2], "max_tokens"),
        (12, [("It is", "length")], [12], "max_tokens"),  # by the budget, not the server's room: no reminder
        (12, [("It is", "cut")], [12], "context_length"),
        (5, [CALL], [5], "max_tokens"),
        (5, ["It is 4."], [5], "no_answer"),  # no reminder that nothing could be said to
        (8, ["It is 4.", ("<answer>4", "length")], [8, 3], "max_tokens"),
        (8, ["It is 4.", ANSWER], [8, 3], "answered"),
    ],
)
async def test_the_budget_is_of_all_turns_together(tmp_path, total, lines, asked, reason):
    model = Scripted(*lines)
    rollout = await once(tmp_path, model, Counter(), total=total)
    assert [request.max_tokens for request in model.requests] == asked
    assert rollout.stop_reason == reason and model.lines == []
    assert rollout.messages[-1].role != "user"


async def test_what_was_written_before_a_kill_counts_toward_the_budget(tmp_path):
    with Ledger(str(tmp_path / "ledger")) as ledger:
        await once(tmp_path, Scripted(CALL, ModelUnavailable("killed")), Counter(), ledger, total=12)
    model = Scripted(ANSWER)
    with Ledger(str(tmp_path / "ledger")) as ledger:
        rollout = await once(tmp_path, model, Counter(), ledger, total=12)
    assert [request.max_tokens for request in model.requests] == [7] and rollout.answer == "4"


async def test_a_budget_is_part_of_the_identity_and_none_is_not(tmp_path):
    plain, bounded, wider = (Sampling(total_tokens=total) for total in (None, 100, 200))
    assert "total_tokens" not in sampling_identity(plain) and sampling_identity(bounded)["total_tokens"] == 100
    uses = [Setting("a", get_dialect("plain_tags"), {}, s, ImageStore(str(tmp_path))) for s in (plain, bounded, wider)]
    assert len({use.fingerprint("model") for use in uses}) == 3
    rollouts = [await once(tmp_path, Scripted(ANSWER), total=total) for total in (None, 100, 200)]
    assert len({rollout.rollout_id for rollout in rollouts}) == len({rollout.setting for rollout in rollouts}) == 3
    assert ["total_tokens" in rollout.sampling for rollout in rollouts] == [False, True, True]


async def test_calls_that_are_in_the_ledger_are_not_made_again(tmp_path):
    with Ledger(str(tmp_path / "ledger")) as ledger:
        first = await once(tmp_path, Scripted(CALL, ANSWER), Counter(), ledger)
    tool, model = Counter(), Scripted()
    with Ledger(str(tmp_path / "ledger")) as ledger:
        assert await once(tmp_path, model, tool, ledger) == first
    assert model.requests == [] and tool.performed == 0


async def test_calls_that_version_1_wrote_are_not_made_again(tmp_path):
    """The segment was written by the code of version 1, for the rollout that is walked here."""
    (tmp_path / "ledger").mkdir()
    shutil.copy(Path(__file__).with_name("ledger_v1.parquet"), tmp_path / "ledger" / "old.parquet")
    tool, model = Counter(), Scripted()
    with Ledger(str(tmp_path / "ledger")) as ledger:
        rollout = await once(tmp_path, model, tool, ledger)
        assert ledger.made == {"model": 0, "tool": 0} and ledger.reused == {"model": 3, "tool": 2}
    assert [c.result.text for c in rollout.tool_calls] == ["20", "42"] and rollout.answer == "4"


@pytest.mark.parametrize(
    ("word", "tokens", "reason"),
    [
        ("eos_token", 5, "answered"),
        ("STOP", 5, "answered"),
        ("unknown", 5, "answered"),
        ("unknown", 50, "max_tokens"),
        ("MAX_TOKENS", 50, "max_tokens"),
    ],
)
async def test_a_reply_that_was_stored_in_the_servers_words_is_read_in_ours(tmp_path, word, tokens, reason):
    """The stop string </answer> was dropped: only a reply that ended by itself is an answer."""
    with Ledger(str(tmp_path / "ledger")) as ledger:
        model = Scripted(ModelUnavailable("killed"))
        broken = await once(tmp_path, model, calls=ledger)
        key = model.requests[0].id
        ledger.put(broken.rollout_id, "model", key, vars(Completion("<answer>4", word, 10, tokens, 0.5)))
    with Ledger(str(tmp_path / "ledger")) as ledger:
        rollout = await once(tmp_path, Scripted(), calls=ledger)
    assert rollout.stop_reason == reason


async def test_a_budget_ends_the_attempt_of_a_server_that_counts_no_tokens(tmp_path, stand_in):
    reply = chat("I count on: one, two, three, four, five, six.\n<python>1</python>")
    del reply["usage"]
    server = stand_in(Reply(reply))
    async with Endpoint(server.url, "policy", "print") as model:
        rollout = await once(tmp_path, model, Counter(), turns=20, total=60)
    asked = [body["max_tokens"] for body in server.bodies]
    assert rollout.stop_reason == "max_tokens" and 1 < len(asked) < 5
    assert asked[0] == 50 and asked == sorted(asked, reverse=True) and sum(asked) > 60 >= rollout.completion_tokens > 0


async def test_what_the_context_cut_short_is_no_call_to_read_again(tmp_path):
    with Ledger(str(tmp_path / "ledger")) as ledger:
        assert (await once(tmp_path, Scripted(("4 and", "cut")), calls=ledger)).stop_reason == "context_length"
        again = await once(tmp_path, Scripted(ANSWER), calls=ledger)
    assert again.answer == "4"


async def test_an_outage_is_no_end_of_a_rollout(tmp_path):
    with pytest.raises(ModelOutage):
        await once(tmp_path, Scripted(CALL, ModelOutage("nothing goes through")), Counter())


async def test_an_interrupted_rollout_goes_on_where_it_stopped_with_the_same_state(tmp_path):
    with Ledger(str(tmp_path / "ledger")) as ledger:
        broken = await once(tmp_path, Scripted(CALL, CALL, ModelUnavailable("killed")), Counter(), ledger)
    assert broken.stop_reason == "unfinished"
    model, tool = Scripted("<python>10</python>", ANSWER), Counter()
    with Ledger(str(tmp_path / "ledger")) as ledger:
        rollout = await once(tmp_path, model, tool, ledger)
    # two calls are made again in a fresh session, silently, to bring back its state
    assert [c.result.text for c in rollout.tool_calls] == ["2", "4", "14"] and tool.performed == 3
    assert len(model.requests) == 2


async def test_another_sample_is_another_call(tmp_path):
    with Ledger(str(tmp_path / "ledger")) as ledger:
        model = Scripted(ANSWER, ANSWER)
        one, two = [await once(tmp_path, model, None, ledger, sample=n) for n in (0, 1)]
    assert one.rollout_id != two.rollout_id and len(model.requests) == 2


async def test_equal_words_about_another_image_are_another_call(tmp_path):
    use = setting(tmp_path, None, turns=1)
    model = Scripted(ANSWER, "<answer>5</answer>")
    with Ledger(str(tmp_path / "ledger")) as ledger:
        for image in ("a", "b"):
            question = QUESTION.model_copy(update={"images": [image], "question_id": image})
            prompt = prompt_of(question, use)
            await attempt(question, prompt, use, 0, model, ledger)
    assert model.requests[0] == model.requests[1]


async def test_a_broken_tool_is_tried_on_fresh_sessions_and_never_blamed_on_the_model(tmp_path):
    tool = Counter(faults=2)
    rollout = await once(tmp_path, Scripted(CALL, ANSWER), tool)
    assert rollout.tool_calls[0].result.outcome == "ok" and tool.opened == 3
    rollout = await once(tmp_path, Scripted(CALL, ANSWER), Counter(faults=3))
    assert rollout.stop_reason == "unfinished" and rollout.error_class.startswith("ToolInfrastructureError")


async def test_calls_that_are_none_are_answered(tmp_path):
    use = setting(tmp_path, Counter())
    deepeyes = Setting("tools", get_dialect("deepeyes_v2"), use.tools, use.sampling, use.images)
    lines = ["<tool_call>{</tool_call>", '<tool_call>{"name": "nope"}</tool_call>', ANSWER]
    prompt = prompt_of(QUESTION, deepeyes)
    rollout = await attempt(QUESTION, prompt, deepeyes, 0, Scripted(*lines), NoLedger())
    assert [c.result.outcome for c in rollout.tool_calls] == ["invalid_call", "invalid_call"]
    assert "no tool 'nope'" in rollout.tool_calls[1].result.text


async def test_replay_makes_the_calls_again(tmp_path):
    rollout = await once(tmp_path, Scripted(CALL, CALL, ANSWER), Counter())
    tool = Counter()
    again = await replay(rollout.tool_calls, {"python": tool}, [])
    assert [r.text for r in again] == ["2", "4"] and tool.performed == 2
