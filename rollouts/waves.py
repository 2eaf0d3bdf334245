"""Many attempts at many questions, in waves that stop when a decision is certain and never wait for each other."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from records.question import Question
from records.trajectory import Message, Rollout
from rollouts.agent import Setting, attempt
from rollouts.ledger.ledger import Ledger
from rollouts.models.contract import Completer
from verdicts.rules import judge, judged_with

Prepare = Callable[[Question, Sequence[Message]], tuple[Setting, list[Message]]]
"""The setting of a question, and its prompt with these results given up front."""
Start = Callable[[int], tuple[Setting, list[Message]]]
"""The same of a sample, by its index."""
PROGRESS_SECONDS = 10.0
AHEAD = 2
"""Attempts under way for each request that may be in flight: while some run their tools, others keep the model busy."""
NOT_AN_ATTEMPT = ("unfinished", "malformed_reply", "context_length")
"""Stop reasons that say nothing about whether the model can answer."""


@dataclass
class Progress:
    """Counts what is done and says so, one line every ten seconds."""

    total: int
    say: Callable[[str], None]
    what: str
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


def judged(rollout: Rollout, question: Question) -> Rollout:
    """The rollout with its verdict; one that is no attempt gets none."""
    if rollout.stop_reason in NOT_AN_ATTEMPT:
        return rollout.model_copy(update={"correct": None, "verdict": rollout.stop_reason})
    verdict = judge(rollout.answer, question)
    update = {
        "correct": verdict.correct,
        "verdict": verdict.how,
        "judged_with": judged_with(question.answer_type, question.aliases),
    }
    return rollout.model_copy(update=update)


@dataclass(frozen=True)
class OpenQuestion:
    """A question that more attempts are needed for."""

    question: Question
    known: dict[int, bool | None] = field(default_factory=dict)
    """How those ended that the ledger holds, by sample index (None: no attempt)."""
    samples: int | None = None
    """How many samples are wanted, at once and whatever comes of them; None: the waves of the arm."""
    given: dict[int, tuple[Message, ...]] | None = None
    """What each sample's prompt gives up front, by sample index. A sample that is not in it cannot be made yet and is
    left out. None: nothing is given."""

    def makeable(self, samples: range) -> list[int]:
        """Those of `samples` that the ledger does not hold and that can be made."""
        return [s for s in samples if s not in self.known and (self.given is None or s in self.given)]


async def roll_out(
    questions: Iterable[OpenQuestion],
    total: int,
    prepare: Prepare,
    waves: Sequence[int],
    is_open: Callable[[int, int], bool],
    model: Completer,
    ledger: Ledger,
    concurrency: int,
    say: Callable[[str], None],
    what: str,
    first_sample: int = 0,
) -> list[Rollout]:
    """Attempt every question in waves of `waves` samples while `is_open(attempts, right)` holds, or as often as asked.

    Finished rollouts go to the ledger, judged. Questions are taken from the iterable as there is room for them and do
    not wait for each other between waves; what another run finishes meanwhile is not made again.

    Args:
        questions: those to go on with; `total` is how many there are.
        prepare: called once for a question, or for each of its samples where these are given results.
        concurrency: requests that the model takes at once; AHEAD times as many attempts are under way.
        what: names the work in progress lines.
        first_sample: index of the first sample; attempts with other indices are other attempts.

    Returns:
        The rollouts that faults of the server or of a tool left unfinished.

    Raises:
        ModelOutage: no call gets through to the model. What had finished is in the ledger.
    """
    progress = Progress(total, say, what)
    unfinished: list[Rollout] = []
    waiting = iter(questions)
    room = asyncio.Semaphore(AHEAD * concurrency)

    async def one(question: Question, start: Start, sample: int) -> bool | None:
        async with room:
            setting, prompt = start(sample)
            print_of_setting = setting.fingerprint(model.fingerprint)
            if (found := ledger.found(print_of_setting, question.question_id, sample)) is not None:
                if found.judged_with in ("", judged_with(question.answer_type, question.aliases)):
                    return found.correct
                return await asyncio.to_thread(lambda: judge(found.answer, question).correct)
            rollout = await attempt(question, prompt, setting, sample, model, ledger)
            # a verdict on an expression takes its time in a process of its own: the loop does not wait for it
            rollout = await asyncio.to_thread(judged, rollout, question)
        progress.rollouts += 1
        progress.tokens += rollout.completion_tokens
        if rollout.stop_reason == "unfinished":
            unfinished.append(rollout)
        else:
            ledger.finish(rollout)
        return rollout.correct

    def start_of(item: OpenQuestion) -> Start:
        """What each sample of the question starts from: the same for all, unless each is given results of its own."""
        if item.given is None:
            shared = prepare(item.question, ())
            return lambda sample: shared
        return lambda sample: prepare(item.question, item.given[sample])

    async def work() -> None:
        for item in waiting:
            known, start = dict(item.known), start_of(item)
            end = first_sample
            for wave in waves if item.samples is None else (item.samples,):
                samples = item.makeable(range(end, end + wave))
                end += wave
                async with asyncio.TaskGroup() as group:
                    tasks = {s: group.create_task(one(item.question, start, s)) for s in samples}
                known |= {sample: task.result() for sample, task in tasks.items()}
                verdicts = [c for s, c in known.items() if first_sample <= s < end and c is not None]
                if item.samples is None and not is_open(len(verdicts), sum(verdicts)):
                    break
            progress.questions += 1

    async def look_around() -> None:
        while True:
            await asyncio.sleep(ledger.poll_seconds)
            try:
                await asyncio.to_thread(ledger.look_around)
            except Exception as error:  # not to know what others do costs no more than their calls twice
                say(f"{what}: the ledger of other runs could not be looked at: {error}")

    beside = [asyncio.create_task(progress.speak()), asyncio.create_task(look_around())]
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(max(1, min(AHEAD * concurrency, total))):
                group.create_task(work())
    except* Exception as errors:  # one cause is enough to say
        raise _first(errors) from None
    finally:
        for task in beside:
            task.cancel()
    if total:
        say(progress.line())
    return unfinished


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
