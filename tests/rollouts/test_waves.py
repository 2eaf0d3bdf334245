"""Many attempts over a real ledger. The model is scripted: the subject is when it is asked, and when no more."""

import asyncio

import polars as pl
import pytest

from records.trajectory import text_message
from rollouts.ledger.ledger import Ledger
from rollouts.models.contract import Completion, ModelOutage, ModelUnavailable
from rollouts.pool import ATTEMPTS_PER_REQUEST, Pool
from rollouts.prompts.build import FOUND_OUT
from rollouts.waves import OpenQuestion, Waves
from tests.rollouts.test_agent import ANSWER, QUESTION, Scripted, prompt_of, setting

WRONG = "<answer>5</answer>"


def prepare(use):
    return lambda question, given: (use, prompt_of(question, use, None, given))


def named(*names):
    return [OpenQuestion(QUESTION.model_copy(update={"text": name, "question_id": name})) for name in names]


async def run(tmp_path, questions, model, ledger, waves, is_open=lambda n, s: True, concurrency=4, first=0):
    use = setting(tmp_path, None, turns=1)
    async with Pool(model, ledger, concurrency, print) as pool:
        return await Waves(prepare(use), waves, is_open, pool, "test", first).roll_out(questions, len(questions))


def given(results):
    """What gives each sample its results, for those that have some."""

    async def prefilled(sample):
        return results.get(sample)

    return prefilled


def finished(tmp_path):
    with Ledger(str(tmp_path / "ledger")) as ledger:
        rows = ledger.rollouts.read(["question_id", "sample_index", "correct"])
    return {(question, sample): correct for question, sample, correct in rows.iter_rows()}


async def test_waves_stop_when_the_decision_is_certain_and_failures_do_not_count(tmp_path):
    lines, seen = [ANSWER, WRONG, ModelUnavailable("down"), WRONG], []

    def is_open(attempts, right):
        seen.append((attempts, right))
        return attempts < 3

    with Ledger(str(tmp_path / "ledger")) as ledger:
        late = await run(tmp_path, named("q"), Scripted(*lines), ledger, [2, 2, 2], is_open)
    assert seen == [(2, 1), (3, 1)]
    assert [r.sample_index for r in late] == [2] and late[0].error_class == "ModelUnavailable: down"
    assert finished(tmp_path) == {("q", 0): True, ("q", 1): False, ("q", 3): False}


async def test_attempts_that_are_known_are_not_made_again(tmp_path):
    seen, (question,) = [], named("q")
    known = OpenQuestion(question.question, {10: True, 12: None})
    model = Scripted(WRONG, ANSWER)
    with Ledger(str(tmp_path / "ledger")) as ledger:
        await run(
            tmp_path, [known], model, ledger, [2, 2], lambda n, s: not seen.append((n, s)), first=10, concurrency=1
        )
    assert seen == [(2, 1), (3, 2)] and sorted(finished(tmp_path)) == [("q", 11), ("q", 13)]


async def test_a_question_is_attempted_as_often_as_is_wanted_of_it(tmp_path):
    """They are made in one wave, whatever the arm's waves are, and nobody asks whether it is still open."""

    def is_open(attempts, right):
        raise AssertionError("asked whether it is open")

    (one, two) = named("one", "two")
    wanted = [OpenQuestion(one.question, {3: True, 9: False}, samples=5), OpenQuestion(two.question, samples=1)]
    with Ledger(str(tmp_path / "ledger")) as ledger:
        late = await run(tmp_path, wanted, Scripted(*[ANSWER] * 5), ledger, [2, 2], is_open, first=2)
    assert late == []
    assert sorted(finished(tmp_path)) == [("one", 2), ("one", 4), ("one", 5), ("one", 6), ("two", 2)]


@pytest.mark.parametrize("samples", [None, 4])
async def test_each_sample_gets_what_is_given_to_it_and_waits_where_nothing_is_there_yet(tmp_path, samples):
    (item,) = named("q")
    results = {0: (text_message("tool", "zero"),), 1: (), 3: (text_message("tool", "three"),)}
    seen = []
    with Ledger(str(tmp_path / "ledger")) as ledger:
        model = Scripted(ANSWER, WRONG, ANSWER)
        todo = [OpenQuestion(item.question, samples=samples, prefilled=given(results))]
        late = await run(tmp_path, todo, model, ledger, [2, 2], lambda n, s: not seen.append(n), concurrency=1)
    asked = [request.messages[-1]["content"] for request in model.requests]
    assert asked[1] == "q"  # the attempt whose calls it would be given made none
    for text, result in zip(asked[::2], ("zero", "three"), strict=True):
        assert text.startswith(f"q\n{FOUND_OUT}\n") and result in text
    assert late == [] and finished(tmp_path) == {("q", 0): True, ("q", 1): False, ("q", 3): True}
    assert seen == ([2, 3] if samples is None else [])  # sample 2 is no attempt


async def test_a_prompt_is_made_once_for_a_question_unless_its_samples_are_given_results(tmp_path):
    use, made = setting(tmp_path, None, turns=1), []

    def counted(question, given):
        made.append(question.question_id)
        return prepare(use)(question, given)

    plain, shown = named("plain", "shown")
    todo = [plain, OpenQuestion(shown.question, prefilled=given({n: () for n in range(3)}))]
    with Ledger(str(tmp_path / "ledger")) as ledger:
        model = Scripted(*[ANSWER] * 6)
        async with Pool(model, ledger, 2, print) as pool:
            await Waves(counted, [3], lambda n, s: False, pool, "test").roll_out(todo, 2)
    assert sorted(made) == ["plain", *["shown"] * 3] and len(finished(tmp_path)) == 6


async def test_questions_do_not_wait_for_each_other(tmp_path):
    """A question that is not answered before all others are holds up none of them."""
    order, rest_done = [], asyncio.Event()

    class Slow:
        fingerprint = "slow"

        async def complete(self, request):
            text = request.messages[-1]["content"]
            if text == "slow":
                await rest_done.wait()
            order.append(text)
            if order.count("e") == 2:
                rest_done.set()
            return Completion(ANSWER, "stop", 1, 1, 0.1)

    with Ledger(str(tmp_path / "ledger")) as ledger:
        await run(tmp_path, named("slow", *"abcde"), Slow(), ledger, [1, 1], concurrency=1)
    assert order[:10] == [n for n in "abcde" for _ in range(2)] and order[10:] == ["slow", "slow"]


async def test_no_more_questions_are_taken_than_there_is_room_for(tmp_path):
    """However many wait, those under way are bounded: memory does not grow with the table."""
    taken, under_way, most = 0, 0, 0

    class Counting:
        fingerprint = "counting"

        async def complete(self, request):
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way, taken - done)
            await asyncio.sleep(0)
            under_way -= 1
            return Completion(ANSWER, "stop", 1, 1, 0.1)

    done = 0

    def is_open(attempts, right):
        nonlocal done
        done += 1
        return False

    def questions():
        nonlocal taken
        for item in named(*(f"q{n}" for n in range(200))):
            taken += 1
            yield item

    with Ledger(str(tmp_path / "ledger")) as ledger:
        use = setting(tmp_path, None, turns=1)
        async with Pool(Counting(), ledger, 5, print) as pool:
            await Waves(prepare(use), [3], is_open, pool, "test").roll_out(questions(), 200)
    assert taken == 200 and most <= ATTEMPTS_PER_REQUEST * 5 + 1 and len(finished(tmp_path)) == 600


async def test_an_outage_ends_the_work_at_once_and_keeps_what_finished(tmp_path):
    asked = 0

    class Dying:
        fingerprint = "dying"

        async def complete(self, request):
            nonlocal asked
            asked += 1
            if asked > 20:
                raise ModelOutage("nothing goes through")
            return Completion(ANSWER, "stop", 1, 1, 0.1)

    with (
        Ledger(str(tmp_path / "ledger")) as ledger,
        pytest.raises(ModelOutage, match="nothing goes through"),
    ):
        await run(tmp_path, named(*map(str, range(1000))), Dying(), ledger, [1], concurrency=2)
    assert len(finished(tmp_path)) >= 16 and asked < 30


async def test_what_another_run_finished_meanwhile_is_not_made_again(tmp_path):
    """While the second run is at `c` and `d`, the first finishes `a`."""
    root, seen = str(tmp_path / "ledger"), []
    with Ledger(root) as first, Ledger(root, poll_seconds=0.02) as second:
        for ledger in (first, second):
            ledger.select(["rollout_id"], pl.lit(True))

        class Waiting(Scripted):
            async def complete(self, request):
                if not self.requests:
                    self.requests.append(None)
                    await run(tmp_path, named("a"), Scripted(ANSWER, ANSWER), first, [2])
                    first.flush()
                else:
                    self.requests.append(None)
                while len(second._found) < 2:  # until it has looked around
                    await asyncio.sleep(0.01)
                return Completion(WRONG, "stop", 1, 1, 0.1)

        model = Waiting()
        await run(
            tmp_path, named("c", "d", "a"), model, second, [2], lambda n, s: not seen.append((n, s)), concurrency=1
        )
    assert sorted(seen) == [(2, 0), (2, 0), (2, 2)] and len(model.requests) == 4
