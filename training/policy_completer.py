"""The policy inside an RL step as a Completer: the agent loop drives the very weights that are being trained.

Requests that come within a short moment are generated as one batch. Each rollout has a session of its own, which keeps
the token ids that were really sampled and appends the template's text between turns as tokens that are not the
model's, so that prompt, completion and mask are exact and nothing is tokenised twice.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rollouts.models.contract import Completion, ContextLengthExceeded, ModelUnavailable, Request
from training.masking import template_text, token_ids

SHARED_TOKENS = 256
"""Prompts that begin with the same so many tokens are generated together."""
GATHER_SECONDS = 0.05
"""How long a batch waits for further requests after the last one came."""


@dataclass
class _Job:
    ids: list[int]
    request: Request
    future: asyncio.Future[list[int]]


class PolicyCompleter:
    """Batched generation with a Hugging Face causal model, in the event loop that it is made in.

    Args:
        max_tokens_total: longest prompt and completion together; beyond, ContextLengthExceeded.
        max_batch: sequences generated at once.
    """

    fingerprint = "policy-in-training"
    """The weights change with every step: rollouts of it must not be kept in a ledger."""

    def __init__(
        self, model: Any, tokenizer: Any, max_tokens_total: int, max_batch: int = 32, say: Callable[[str], None] = print
    ) -> None:
        self.model, self.tokenizer, self._say = model, tokenizer, say
        self.ends = end_tokens(model, tokenizer)
        self.max_tokens_total, self.max_batch = max_tokens_total, max_batch
        self._waiting: list[_Job] = []
        self._arrived = asyncio.Event()
        self._worker = asyncio.get_running_loop().create_task(self._work())
        self.generated_tokens = 0

    def session(self) -> "PolicySession":
        """The completer of one rollout."""
        return PolicySession(self)

    async def close(self) -> None:
        self._worker.cancel()
        await asyncio.gather(self._worker, return_exceptions=True)

    async def generate(self, ids: list[int], request: Request) -> list[int]:
        """The sampled token ids that follow `ids`."""
        if len(ids) + request.max_tokens > self.max_tokens_total:
            raise ContextLengthExceeded(f"{len(ids)} + {request.max_tokens} tokens, at most {self.max_tokens_total}")
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(_Job(ids, request, future))
        self._arrived.set()
        return await future

    async def _work(self) -> None:
        while True:
            await self._arrived.wait()
            count = -1
            while count != len(self._waiting):  # until no more come
                count = len(self._waiting)
                await asyncio.sleep(GATHER_SECONDS)
            first = self._waiting[0].request
            # Prompts that begin alike go together, and their common beginning is computed once for all of them.
            kind = _kind(self._waiting[0])
            alike = [job for job in self._waiting if _kind(job) == kind]
            # Prompts of like length together: padding is computed too.
            batch = sorted(alike, key=lambda job: len(job.ids))[: self.max_batch]
            self._waiting = [job for job in self._waiting if job not in batch]
            if not self._waiting:
                self._arrived.clear()
            started = time.monotonic()
            try:
                replies = await asyncio.to_thread(self._generate, [job.ids for job in batch], first)
            except Exception as error:  # whatever the model raises is not the rollout's doing
                for job in batch:
                    if not job.future.done():
                        job.future.set_exception(ModelUnavailable(f"{type(error).__name__}: {error}"))
                continue
            tokens = sum(map(len, replies))
            self.generated_tokens += tokens
            if (seconds := time.monotonic() - started) > 10:
                self._say(f"generated {tokens} tokens for {len(batch)} rollouts in {seconds:.0f} s")
            for job, reply in zip(batch, replies, strict=True):
                if not job.future.done():
                    job.future.set_result(reply)

    def _generate(self, prompts: list[list[int]], request: Request) -> list[list[int]]:
        import torch
        from transformers import GenerationConfig

        tokenizer, width = self.tokenizer, max(map(len, prompts))
        pad = tokenizer.pad_token_id
        device = next(self.model.parameters()).device
        # Padding stands between the common beginning and the rest; it is masked, so positions do not count it.
        shared = min(_common(prompts), min(map(len, prompts)) - 1) if len(prompts) > 1 else 0
        head, cached = prompts[0][:shared], {}
        ids = torch.tensor([head + [pad] * (width - len(p)) + p[shared:] for p in prompts], device=device)
        mask = torch.tensor(
            [[1] * shared + [0] * (width - len(p)) + [1] * (len(p) - shared) for p in prompts], device=device
        )
        sampled = request.temperature > 0
        config = GenerationConfig(
            max_new_tokens=request.max_tokens,
            do_sample=sampled,
            temperature=request.temperature if sampled else None,
            top_p=request.top_p if sampled else None,
            top_k=0 if sampled else None,  # the default of 50 would sample from another distribution than is trained
            stop_strings=list(request.stop) or None,
            pad_token_id=pad,
            eos_token_id=sorted(self.ends),
        )
        with torch.no_grad():
            if shared:
                cache = self.model(input_ids=torch.tensor([head], device=device), use_cache=True).past_key_values
                cache.batch_repeat_interleave(len(prompts))
                cached = {"past_key_values": cache}
            out = self.model.generate(
                input_ids=ids,
                attention_mask=mask,
                generation_config=config,
                tokenizer=tokenizer,
                use_cache=True,
                **cached,
            )
        return [_until_end(row[width:].tolist(), tokenizer, request.stop, self.ends) for row in out]


def _common(prompts: list[list[int]]) -> int:
    """How many tokens all prompts begin with alike."""
    shortest, longest = min(prompts), max(prompts)  # in dictionary order: what these two share, all share
    return next((n for n, (a, b) in enumerate(zip(shortest, longest, strict=False)) if a != b), len(shortest))


def _kind(job: _Job) -> tuple[Any, ...]:
    """What jobs of one batch have in common: the settings, and the beginning of a long prompt."""
    request = job.request
    head = tuple(job.ids[:SHARED_TOKENS]) if len(job.ids) > SHARED_TOKENS else ()
    return request.temperature, request.top_p, request.max_tokens, request.stop, head


def end_tokens(model: Any, tokenizer: Any) -> set[int]:
    """Every token that ends a turn: the model's own list (Qwen has two) and the tokenizer's."""
    given = getattr(model.generation_config, "eos_token_id", None)
    listed = given if isinstance(given, list) else [given]
    return {token for token in (*listed, tokenizer.eos_token_id) if token is not None}


def _until_end(ids: list[int], tokenizer: Any, stop: tuple[str, ...], ends: set[int]) -> list[int]:
    """Sampled ids up to the one that ended the row; what follows is padding (which may be an end token itself)."""
    end = next((n + 1 for n, token in enumerate(ids) if token in ends), len(ids))
    ids = ids[:end]
    if not any(s in tokenizer.decode(ids) for s in stop):
        return ids
    low, high = 1, len(ids)  # the shortest beginning that holds a stop string
    while low < high:
        middle = (low + high) // 2
        if any(s in tokenizer.decode(ids[:middle]) for s in stop):
            high = middle
        else:
            low = middle + 1
    return ids[:low]


@dataclass
class PolicySession:
    """The completer of one rollout; see the module's docstring for what it keeps."""

    policy: PolicyCompleter
    prompt_ids: list[int] = field(default_factory=list)
    completion_ids: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    """1 for tokens that the model sampled, 0 for what came from outside, one for each of completion_ids."""
    _text: str = ""
    """The conversation so far as the template writes it, up to where the last assistant turn begins."""
    _said: str = ""
    """What was sampled in that turn, decoded, without the token that ended it."""

    @property
    def fingerprint(self) -> str:
        return self.policy.fingerprint

    async def complete(self, request: Request) -> Completion:
        """Raises ContextLengthExceeded, or ModelUnavailable when the model fails."""
        started = time.monotonic()
        tokenizer = self.policy.tokenizer
        text = template_text(tokenizer, request.messages, open_turn=True)
        if not self.prompt_ids:
            self.prompt_ids = token_ids(tokenizer, text)
        else:
            self._append_outside(text)
        self._text = text
        context = [*self.prompt_ids, *self.completion_ids]
        sampled = await self.policy.generate(context, request)
        self.completion_ids += sampled
        self.mask += [1] * len(sampled)
        ended = bool(sampled) and sampled[-1] in self.policy.ends
        self._said = tokenizer.decode(sampled[:-1] if ended else sampled, skip_special_tokens=False)
        reply, stop = _cut(self._said, request.stop)
        finish = "stop" if ended or stop else "length"
        seconds, opened = time.monotonic() - started, text.rstrip().endswith("<think>")
        return Completion(reply, finish, len(context), len(sampled), seconds, stopped_by=stop, in_thought=opened)

    def _append_outside(self, text: str) -> None:
        """Add the tokens between the last sampled one and where the next turn begins."""
        tokenizer = self.policy.tokenizer
        rest = text.removeprefix(self._text)
        last = self.completion_ids[-1]
        shared = _shared(rest, self._said)
        # The dialect closes a tag that the model left open; the rest of what it said is in the template's words.
        outside = rest[shared:]
        if last in self.policy.ends:
            if last == tokenizer.eos_token_id and outside.startswith(tokenizer.eos_token):
                outside = outside[len(tokenizer.eos_token) :]
            else:  # the turn goes on, or ends otherwise, after what the model took for its end
                self.completion_ids.pop()
                self.mask.pop()
        added = token_ids(tokenizer, outside)
        self.completion_ids += added
        self.mask += [0] * len(added)


def _shared(left: str, right: str) -> int:
    """The length of the beginning that two texts share."""
    length = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        length += 1
    return length


def _cut(text: str, stop: tuple[str, ...]) -> tuple[str, str]:
    """The text up to the first stop string, as a server returns it, and that string; "" where there is none."""
    found = [(position, s) for s in stop if (position := text.find(s)) >= 0]
    position, first = min(found, default=(len(text), ""))
    return text[:position], first
