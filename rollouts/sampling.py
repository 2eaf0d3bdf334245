"""Many attempts at many questions, in waves that stop when a decision is certain and never wait for each other."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from records.question import Question
from records.trajectory import Message, Rollout
from rollouts.agent import Calls, Setting, attempt
from rollouts.answers import judge
from rollouts.model import Completer

PROGRESS_SECONDS = 10.0
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
    return rollout.model_copy(update={"correct": verdict.correct, "verdict": verdict.how})


async def roll_out(
    questions: Sequence[Question],
    prepare: Callable[[Question], tuple[Setting, list[Message]]],
    waves: Sequence[int],
    is_open: Callable[[int, int], bool],
    model: Completer,
    calls: Calls,
    concurrency: int,
    say: Callable[[str], None],
    what: str,
    first_sample: int = 0,
) -> list[Rollout]:
    """Attempt every question in waves of `waves` samples while `is_open(attempts, right)` holds.

    Questions do not wait for each other between waves.

    Args:
        prepare: the setting and the prompt of a question.
        concurrency: questions under way at once.
        what: names the work in progress lines.
        first_sample: index of the first sample; attempts with other indices are other attempts.

    Returns:
        The judged rollouts, in the order of the questions.
    """
    progress = Progress(len(questions), say, what)
    results: list[list[Rollout]] = [[] for _ in questions]
    waiting = iter(range(len(questions)))

    async def one(question: Question, setting: Setting, prompt: list[Message], sample: int) -> Rollout:
        rollout = judged(await attempt(question, prompt, setting, sample, model, calls), question)
        progress.rollouts += 1
        progress.tokens += rollout.completion_tokens
        return rollout

    async def work() -> None:
        for index in waiting:
            question, done = questions[index], results[index]
            setting, prompt = prepare(question)
            for wave in waves:
                first = first_sample + len(done)
                done += await asyncio.gather(*(one(question, setting, prompt, first + i) for i in range(wave)))
                attempts = [r for r in done if r.correct is not None]
                if not is_open(len(attempts), sum(r.correct for r in attempts)):
                    break
            progress.questions += 1

    speaker = asyncio.create_task(progress.speak())
    try:
        await asyncio.gather(*(work() for _ in range(max(1, min(concurrency, len(questions))))))
    finally:
        speaker.cancel()
    if questions:
        say(progress.line())
    return [rollout for done in results for rollout in done]
