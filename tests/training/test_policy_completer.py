"""The policy inside an RL step: batched generation is the same as single, and every token's origin is known."""

import asyncio
from typing import Any

import pytest

from records.images.store import ImageStore
from records.recipe import Sampling
from records.trajectory import Rollout, ToolResult, text_message
from rollouts.agent import attempt
from rollouts.models.contract import ContextLengthExceeded, ModelUnavailable, Request
from rollouts.setting import Setting
from rollouts.tool_calls import NoLedger
from tests.support.training_rows import DIALECT, question
from training.policy_completer import PolicyCompleter, PolicySession


class Echo:
    """A tool that says what it was called with."""

    name, description, version = "python", "Runs Python.", "1"
    parameters = {"properties": {"code": {"description": "code"}}}  # noqa: RUF012

    def open(self, images: list[str]) -> "Echo":
        return self

    async def call(self, arguments: dict[str, Any]) -> ToolResult:
        return ToolResult(outcome="ok", text=f"OBSERVED {arguments['code']}")

    async def close(self) -> None: ...


@pytest.fixture(scope="module")
def loaded(tiny_policy: str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(tiny_policy).eval(), AutoTokenizer.from_pretrained(tiny_policy)


def asking(text: str, **more: Any) -> Request:
    values = {"temperature": 0.0, "top_p": 1.0, "max_tokens": 12} | more
    return Request(messages=[{"role": "user", "content": text}], **values)


ALIKE = "print(1) is the answer to this? " * 60


@pytest.mark.parametrize(
    "texts",
    [["a", "what is the answer to this?", "print(1) " * 20], [ALIKE, ALIKE + "a", ALIKE + "what is the answer?"]],
    ids=["short", "with a long common beginning"],
)
async def test_batched_is_single(loaded: tuple[Any, Any], texts: list[str]) -> None:
    model, tokenizer = loaded
    policy = PolicyCompleter(model, tokenizer, 2000)
    batches = []
    original = policy._generate
    policy._generate = lambda prompts, request: batches.append(len(prompts)) or original(prompts, request)
    together = [policy.session() for _ in texts]
    await asyncio.gather(*(s.complete(asking(t)) for s, t in zip(together, texts, strict=True)))
    assert batches == [3]
    for session, text in zip(together, texts, strict=True):
        alone = policy.session()
        reply = await alone.complete(asking(text))
        assert alone.completion_ids == session.completion_ids
        assert alone.mask == [1] * len(alone.completion_ids)
        assert reply.completion_tokens == len(alone.completion_ids) <= 12
        assert reply.prompt_tokens == len(alone.prompt_ids)
    await policy.close()


async def test_it_stops_where_a_server_stops(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    policy = PolicyCompleter(model, tokenizer, 2000)
    first = policy.session()
    whole = await first.complete(asking("a", max_tokens=30))
    assert whole.finish_reason == "length"
    stop = tokenizer.decode(first.completion_ids[10:12])
    cut = policy.session()
    reply = await cut.complete(asking("a", max_tokens=30, stop=(stop,)))
    assert reply.finish_reason == "stop"
    assert reply.text == whole.text[: whole.text.index(stop)]
    assert stop in tokenizer.decode(cut.completion_ids)
    assert stop not in tokenizer.decode(cut.completion_ids[:-1])
    await policy.close()


async def test_too_long_a_prompt_and_a_failing_model_say_so(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    policy = PolicyCompleter(model, tokenizer, 20)
    with pytest.raises(ContextLengthExceeded):
        await policy.session().complete(asking("a long text " * 20))
    policy.max_tokens_total = 1000

    def broken(*_: Any) -> list[list[int]]:
        raise RuntimeError("out of memory")

    policy._generate = broken
    with pytest.raises(ModelUnavailable, match="out of memory"):
        await policy.session().complete(asking("a"))
    await policy.close()


class Scripted(PolicyCompleter):
    """Says given texts; the end token only where the text has it."""

    def say_next(self, *texts: str) -> None:
        self._texts = list(texts)

    def _generate(self, prompts: list[list[int]], request: Request) -> list[list[int]]:
        assert len(prompts) == 1
        return [self.tokenizer(self._texts.pop(0), add_special_tokens=False)["input_ids"]]


async def roll_out(loaded: tuple[Any, Any], texts: list[str], store: ImageStore) -> tuple[Rollout, PolicySession]:
    policy = Scripted(*loaded, 1000)
    policy.say_next(*texts)
    session = policy.session()
    setting = Setting("tools", DIALECT, {"python": Echo()}, Sampling(max_turns=4, max_tokens=64), store)
    asked = question(0)
    prompt = [text_message("system", "You answer."), text_message("user", asked.text)]
    rollout = await attempt(asked, prompt, setting, 0, session, NoLedger())
    await policy.close()
    return rollout, session


@pytest.mark.parametrize(
    ("call", "exact"),
    [
        ("I look.\n<python>\n1\n</python>", True),
        ("I look.\n<python>\n1\n</python><|im_end|>", True),
        ("I look.\n<python>\n1\n</python>\n", False),
        ("I look.\n<python>\n1<|im_end|>", True),
        ("I look.\n<python>\n1<|endoftext|>", True),
    ],
    ids=["stopped", "ended", "token_goes_past_the_tag", "tag_left_open", "other_end_token"],
)
async def test_tokens_are_the_sampled_ones_and_the_templates(
    loaded: tuple[Any, Any], store: ImageStore, call: str, exact: bool
) -> None:
    _, tokenizer = loaded
    rollout, session = await roll_out(loaded, [call, "So it is\n<answer>1</answer><|im_end|>"], store)
    assert rollout.answer == "1"
    assert len(rollout.tool_calls) == 1
    assert len(session.mask) == len(session.completion_ids)
    sampled = tokenizer.decode([i for i, m in zip(session.completion_ids, session.mask, strict=True) if m])
    outside = tokenizer.decode([i for i, m in zip(session.completion_ids, session.mask, strict=True) if not m])
    assert "OBSERVED" in outside
    assert "OBSERVED" not in sampled
    assert sampled.startswith("I look.\n<python>\n1")
    assert sampled.endswith("So it is\n<answer>1</answer><|im_end|>")

    said = tokenizer.decode([*session.prompt_ids, *session.completion_ids])
    chat = DIALECT.training_turns([*rollout.prompt, *rollout.messages], None)
    template = tokenizer.apply_chat_template(chat, tokenize=False).removesuffix("\n")
    assert said == template if exact else said.replace("</python>\n<|im_end|>", "</python><|im_end|>") == template
