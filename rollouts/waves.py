"""Many attempts at many questions, in waves that stop when a decision is certain and never wait for each other."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from records.question import Question
from records.trajectory import Message, Rollout
from rollouts.agent import attempt
from rollouts.judges import Verifier
from rollouts.judges.rules import RULES
from rollouts.ledger.ledger import Found, Ledger
from rollouts.models.contract import Completer, ModelOutage, ModelUnavailable
from rollouts.setting import Setting

Prepare = Callable[[Question, Sequence[Message]], tuple[Setting, list[Message]]]
"""The setting of a question, and its prompt with these results prefilled."""
Start = Callable[[int], tuple[Setting, list[Message]]]
"""The setting and the prompt of a sample, by its index."""
PROGRESS_SECONDS = 10.0
"""Seconds between two lines about the progress."""
ATTEMPTS_PER_REQUEST = 2
"""Attempts under way for each request that may be in flight: while some run their tools, others keep the model busy."""
NOT_AN_ATTEMPT = ("unfinished", "malformed_reply", "lost_content", "context_length", "refused")
"""Stop reasons that say nothing about whether the model can answer."""


@dataclass
class ProgressLines:
    """Counts what is done and says so, one line every ten seconds."""

    total: int
    say: Callable[[str], None]
    what: str
    """The name of the work in its lines."""
    questions: int = 0
    rollouts: int = 0
    tokens: int = 0
    started: float = field(default_factory=time.monotonic)

    def line(self) -> str:
        seconds = time.monotonic() - self.started
        return (
            f"{self.what}: {self.questions}/{self.total} questions, {self.rollouts} rollouts, "
            f"{self.tokens} tokens written, {seconds:.0f} s"
        )

    async def speak(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            self.say(self.line())


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
    prefilled: dict[int, tuple[Message, ...]] | None = None
    """The results in each sample's prompt, by sample index. A sample without an entry cannot be made yet and is left
    out. None: nothing is prefilled."""

    def makeable(self, samples: range) -> list[int]:
        """Those of `samples` that are not in the ledger and that can be made."""
        return [s for s in samples if s not in self.known and (self.prefilled is None or s in self.prefilled)]


@dataclass
class Waves:
    """Attempts of one model at many questions, over one ledger.

    Questions are taken as there is room for them, and do not wait for each other between waves. What another run
    finishes meanwhile is not made again.
    """

    prepare: Prepare
    """Called once per question, or once per sample where samples are prefilled."""
    sizes: Sequence[int]
    """Samples of each wave."""
    is_open: Callable[[int, int], bool]
    """Whether a further wave is needed, by the numbers of attempts and of right ones."""
    model: Completer
    ledger: Ledger
    concurrency: int
    """Requests that the model takes at once; ATTEMPTS_PER_REQUEST times as many attempts are under way."""
    say: Callable[[str], None]
    what: str
    """The name of the work in progress lines."""
    first_sample: int = 0
    """Index of the first sample; attempts with other indices are other attempts."""
    verifier: Verifier = RULES
    """Whoever says which answers are right."""
    _progress: ProgressLines = field(init=False, repr=False)
    _unfinished: list[Rollout] = field(init=False, repr=False)
    _room: asyncio.Semaphore = field(init=False, repr=False)

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
        self._progress = ProgressLines(total, self.say, self.what)
        self._unfinished = []
        workers = ATTEMPTS_PER_REQUEST * self.concurrency
        self._room = asyncio.Semaphore(workers)
        waiting = iter(questions)
        beside = [asyncio.create_task(self._progress.speak()), asyncio.create_task(self._look_around())]
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(max(1, min(workers, total))):
                    group.create_task(self._work(waiting))
        except* Exception as errors:  # one cause is enough to say
            raise _first(errors) from None
        finally:
            for task in beside:
                task.cancel()
        if total:
            self.say(self._progress.line())
        return self._unfinished

    async def _work(self, waiting: Iterator[OpenQuestion]) -> None:
        for item in waiting:
            await self._question(item)
            self._progress.questions += 1

    async def _question(self, item: OpenQuestion) -> None:
        """Make the waves of one question, one after the other."""
        known, start, end = dict(item.known), self._start_of(item), self.first_sample
        for size in self.sizes if item.samples is None else (item.samples,):
            samples = item.makeable(range(end, end + size))
            end += size
            async with asyncio.TaskGroup() as group:
                tasks = {s: group.create_task(self._sample(item.question, start, s)) for s in samples}
            known |= {sample: task.result() for sample, task in tasks.items()}
            verdicts = [c for s, c in known.items() if self.first_sample <= s < end and c is not None]
            if item.samples is None and not self.is_open(len(verdicts), sum(verdicts)):
                break

    def _start_of(self, item: OpenQuestion) -> Start:
        """What each sample of the question starts from: the same for all, unless each is prefilled with results."""
        prefilled = item.prefilled
        if prefilled is None:
            shared = self.prepare(item.question, ())
            return lambda sample: shared
        return lambda sample: self.prepare(item.question, prefilled[sample])

    async def _sample(self, question: Question, start: Start, sample: int) -> bool | None:
        """The verdict on one sample, which is made unless another run has just finished it; None: not an attempt."""
        async with self._room:
            setting, prompt = start(sample)
            fingerprint = setting.fingerprint(self.model.fingerprint)
            if (found := self.ledger.found(fingerprint, question.question_id, sample)) is not None:
                return await self._verdict_on(found, question)
            rollout = await attempt(question, prompt, setting, sample, self.model, self.ledger)
            rollout = await judged(rollout, question, self.verifier)
        self._progress.rollouts += 1
        self._progress.tokens += rollout.completion_tokens
        if rollout.stop_reason == "unfinished":
            self._unfinished.append(rollout)
        else:
            self.ledger.finish(rollout)
        return rollout.correct

    async def _verdict_on(self, found: Found, question: Question) -> bool | None:
        """The current verdict on what another run finished; it is stored when stored verdicts are next read."""
        if found.judged_with in ("", self.verifier.fingerprint(question)):
            return found.correct
        return (await self.verifier.verify(found.answer, question)).correct

    async def _look_around(self) -> None:
        while True:
            await asyncio.sleep(self.ledger.poll_seconds)
            try:
                await asyncio.to_thread(self.ledger.look_around)
            except Exception as error:  # without knowing what others do, some calls are made twice, and that is all
                self.say(f"{self.what}: the ledger of other runs could not be looked at: {error}")


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
