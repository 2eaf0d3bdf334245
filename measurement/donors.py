"""What attempts with tools obtained by their calls, for the attempts that are shown it: stored, or being made now."""

import asyncio
from collections.abc import Iterator
from functools import partial

import polars as pl

from measurement.progress import ArmProgress
from records.trajectory import Message, Rollout
from rollouts.ledger.ledger import Ledger
from rollouts.prompts.prefilled_results import obtained, results_of
from rollouts.waves import Prefilled

AT_ONCE = 50_000
"""Questions whose stored results are in memory at a time."""
MOST_CHARACTERS = 50_000_000
"""Characters of results that wait in memory for the attempts that are shown them; what exceeds this is read from the
ledger later."""
Results = tuple[Message, ...]


class Donors:
    """The results of one arm's attempts, by question and sample number (from 0).

    Args:
        progress: how far the arm with tools is over the questions.
        ledger: holds what is stored.
        under_way: whether what the arm lacks is being made in the same pool, which tells `ended`.
    """

    def __init__(self, progress: ArmProgress, ledger: Ledger, under_way: bool) -> None:
        self._first, self._stored, self._ledger = progress.arm.first_sample, progress.rollouts, ledger
        self._awaited: dict[tuple[str, int], asyncio.Future[Results | None]] = {}
        self._waiting: dict[tuple[str, int], Results | None] = {}
        self._characters = 0
        self._wanted: dict[str, int] = {}
        if under_way:
            self._wanted = dict(progress.open.select("question_id", "wanted").iter_rows())
        self.left_out = 0
        """Samples whose results were made, and are to be read from the ledger."""

    def of(self, question_ids: pl.Series, first_sample: int = 0) -> Iterator[Prefilled]:
        """For one question after another, what gives the results in the prompt of each sample.

        Args:
            first_sample: index of the first sample of the arm that is shown them.
        """
        found = stored_results(self._ledger, self._stored, question_ids)
        for question_id, stored in zip(question_ids, found, strict=True):
            yield partial(self._results, question_id, stored, first_sample)

    async def _results(self, question_id: str, stored: dict[int, Results], first: int, sample: int) -> Results | None:
        number = sample - first
        if number in stored:
            return stored[number]
        if number >= self._wanted.get(question_id, 0):
            return None
        key = (question_id, number)
        if key in self._waiting:
            results = self._waiting.pop(key)
            self._characters -= _characters(results)
        else:
            self._awaited[key] = asyncio.get_running_loop().create_future()
            results = await self._awaited[key]
            del self._awaited[key]
        return results

    def ended(self, question_id: str, sample: int, rollout: Rollout | None) -> None:
        """A sample with tools is through (rollouts.waves.Ended)."""
        key, results = (question_id, sample - self._first), None
        if rollout is None:
            self.left_out += 1
        elif rollout.stop_reason != "unfinished":
            results = obtained(rollout.tool_calls)
        if (awaited := self._awaited.get(key)) is not None:
            if not awaited.done():
                awaited.set_result(results)
            return
        if self._characters + (size := _characters(results)) > MOST_CHARACTERS:
            self.left_out, results, size = self.left_out + 1, None, 0
        self._characters += size
        self._waiting[key] = results


def _characters(results: Results | None) -> int:
    return sum(len(message.text) for message in results or ())


def stored_results(ledger: Ledger, donors: pl.DataFrame, question_ids: pl.Series) -> Iterator[dict[int, Results]]:
    """The results that finished attempts obtained, by sample number, for one question after another.

    Args:
        donors: the attempts: rollout_id, question_id, sample_index.
    """
    for start in range(0, len(question_ids), AT_ONCE):
        part = question_ids.slice(start, AT_ONCE).to_frame("question_id")
        rows = donors.select("rollout_id", "question_id", "sample_index").join(part, on="question_id", how="semi")
        if rows.is_empty():  # without reading the ledger for nothing
            yield from ({} for _ in range(part.height))
            continue
        calls = ledger.select(["rollout_id", "tool_calls"], pl.col("rollout_id").is_in(rows["rollout_id"].implode()))
        made = rows.join(calls, on="rollout_id").group_by("question_id").agg("sample_index", "tool_calls")
        made = part.join(made, on="question_id", how="left", maintain_order="left")
        for samples, texts in made.select("sample_index", "tool_calls").iter_rows():
            yield {sample: results_of(text) for sample, text in zip(samples or (), texts or (), strict=True)}
