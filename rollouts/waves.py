"""Many attempts at many questions, in waves that stop when a decision is certain and never wait for each other."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from records.question import Question
from records.trajectory import Message, Rollout
from rollouts.agent import attempt
from rollouts.judges import Verifier
from rollouts.judges.rules import RULES
from rollouts.ledger.ledger import Found
from rollouts.models.contract import ModelOutage, ModelUnavailable
from rollouts.pool import Pool
from rollouts.setting import Setting

Prepare = Callable[[Question, Sequence[Message]], tuple[Setting, list[Message]]]
"""The setting of a question, and its prompt with these results prefilled."""
Prefilled = Callable[[int], Awaitable[Sequence[Message] | None]]
"""The results in the prompt of a sample, by its index, once they are there; None: they are not to be had now."""
Ended = Callable[[str, int, Rollout | None], None]
"""Is told of each sample of a question that it is through: with its rollout, or None where another run has it."""
NOT_AN_ATTEMPT = ("unfinished", "malformed_reply", "lost_content", "context_length", "refused")
"""Stop reasons that say nothing about whether the model can answer."""


async def judged(rollout: Rollout, question: Question, verifier: Verifier = RULES) -> Rollout:
    """The rollout with its verdict. One that is not an attempt gets none; one that could not be judged is unfinished.

    Raises:
        ModelOutage: the verifier asks a model, and no call gets through to it.
    """
    if rollout.stop_reason in NOT_AN_ATTEMPT:
        return rollout.model_copy(update={"correct": None, "verdict": rollout.stop_reason})
    try:
        verdict = await verifier.verify(rollout.answer, question)
    except ModelOutage:
        raise
    except ModelUnavailable as error:
        error_class = f"{type(error).__name__}: {error}"
        unfinished = {"stop_reason": "unfinished", "verdict": "unfinished", "error_class": error_class}
        return rollout.model_copy(update=unfinished)
    update = {"correct": verdict.correct, "verdict": verdict.how, "judged_with": verifier.fingerprint(question)}
    return rollout.model_copy(update=update)


@dataclass(frozen=True)
class OpenQuestion:
    """A question that more attempts are needed for."""

    question: Question
    known: dict[int, bool | None] = field(default_factory=dict)
    """The verdicts on attempts that are stored in the ledger, by sample index; None: it was not an attempt."""
    samples: int | None = None
    """How many samples are made, all at once and whatever their verdicts; None: the waves of the arm."""
    prefilled: Prefilled | None = None
    """Gives the results in each sample's prompt. A sample that there are none for is left out. None: nothing is
    prefilled."""


@dataclass
class Waves:
    """Attempts of one kind at many questions, in a pool.

    Questions are taken as there is room for them, and do not wait for each other between waves. What another run
    finishes meanwhile is not made again.
    """

    prepare: Prepare
    """Called once per question, or once per sample where samples are prefilled."""
    sizes: Sequence[int]
    """Samples of each wave."""
    is_open: Callable[[int, int], bool]
    """Whether a further wave is needed, by the numbers of attempts and of right ones."""
    pool: Pool
    """The model, the ledger and the places that these attempts share with others."""
    kind: str
    """The name of the attempts in progress lines."""
    first_sample: int = 0
    """Index of the first sample; attempts with other indices are other attempts."""
    turn: int = 0
    """Attempts with a lower turn get a free place first."""
    ended: Ended | None = None
    verifier: Verifier = RULES
    """Whoever says which answers are right."""
    _unfinished: list[Rollout] = field(init=False, repr=False, default_factory=list)

    async def roll_out(self, questions: Iterable[OpenQuestion], total: int) -> list[Rollout]:
        """Attempt every question in waves while `is_open` holds, or as often as the question asks for.

        Finished rollouts go to the ledger, judged.

        Args:
            total: how many questions there are.

        Returns:
            The rollouts that faults of the server or of a tool left unfinished.

        Raises:
            ModelOutage: no call gets through to the model. What had finished is in the ledger.
        """
        self.pool.progress.expect(self.kind, total)
        waiting = iter(questions)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(max(1, min(self.pool.room.places, total))):
                    group.create_task(self._work(waiting))
        except* Exception as errors:  # one cause is enough to say
            raise first_of(errors) from None
        return self._unfinished

    async def _work(self, waiting: Iterator[OpenQuestion]) -> None:
        for item in waiting:
            await self._question(item)
            self.pool.progress.done[self.kind] += 1

    async def _question(self, item: OpenQuestion) -> None:
        """Make the waves of one question, one after the other."""
        known, end = dict(item.known), self.first_sample
        start = None if item.prefilled else self.prepare(item.question, ())  # the same for all samples
        for size in self.sizes if item.samples is None else (item.samples,):
            samples = [sample for sample in range(end, end + size) if sample not in known]
            end += size
            async with asyncio.TaskGroup() as group:
                tasks = {s: group.create_task(self._sample(item, start, s)) for s in samples}
            known |= {sample: task.result() for sample, task in tasks.items()}
            verdicts = [c for s, c in known.items() if self.first_sample <= s < end and c is not None]
            if item.samples is None and not self.is_open(len(verdicts), sum(verdicts)):
                break

    async def _sample(
        self, item: OpenQuestion, start: tuple[Setting, list[Message]] | None, sample: int
    ) -> bool | None:
        """The verdict on one sample, which is made unless another run has just finished it; None: not an attempt."""
        question, pool, results = item.question, self.pool, ()
        if item.prefilled and (results := await item.prefilled(sample)) is None:
            return None
        async with pool.room.place(self.turn):
            setting, prompt = start or self.prepare(question, results)
            fingerprint = setting.fingerprint(pool.model.fingerprint)
            if (found := pool.ledger.found(fingerprint, question.question_id, sample)) is not None:
                self._end(question, sample, None)
                return await self._verdict_on(found, question)
            rollout = await attempt(question, prompt, setting, sample, pool.model, pool.ledger)
            rollout = await judged(rollout, question, self.verifier)
        pool.progress.rollouts += 1
        pool.progress.tokens += rollout.completion_tokens
        if rollout.stop_reason == "unfinished":
            self._unfinished.append(rollout)
        else:
            pool.ledger.finish(rollout)
        self._end(question, sample, rollout)
        return rollout.correct

    def _end(self, question: Question, sample: int, rollout: Rollout | None) -> None:
        if self.ended is not None:
            self.ended(question.question_id, sample, rollout)

    async def _verdict_on(self, found: Found, question: Question) -> bool | None:
        """The current verdict on what another run finished; it is stored when stored verdicts are next read."""
        if found.judged_with in ("", self.verifier.fingerprint(question)):
            return found.correct
        return (await self.verifier.verify(found.answer, question)).correct


def first_of(error: BaseException) -> BaseException:
    """The first cause in a group of exceptions."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
