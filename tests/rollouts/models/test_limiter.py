"""The limit on requests in flight: never broken, first come first served, down under load and up again."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollouts.models.limiter import Limiter, read_gauges


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


async def hold(limiter, until, began=None, name=None):
    async with limiter:
        if began is not None:
            began.append(name)
        await until.wait()


async def turns():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_never_more_than_the_limit_and_in_order():
    limiter, most_at_once, order = Limiter(3), 0, []

    async def work(n):
        nonlocal most_at_once
        async with limiter:
            order.append(n)
            most_at_once = max(most_at_once, limiter.in_use)
            await asyncio.sleep(0)

    await asyncio.gather(*(work(n) for n in range(20)))
    assert (most_at_once, limiter.in_use, order) == (3, 0, list(range(20)))


async def test_who_is_cancelled_takes_no_slot_along():
    limiter, until = Limiter(1), asyncio.Event()
    await limiter.__aenter__()
    waiting = [asyncio.create_task(hold(limiter, until)) for _ in range(3)]
    await turns()
    waiting[0].cancel()  # while it waits
    await turns()
    await limiter.__aexit__()
    waiting[1].cancel()  # when the slot has just been given to it
    until.set()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert [task.cancelled() for task in waiting] == [True, True, False]
    assert limiter.in_use == 0


async def test_those_who_wait_can_be_made_to_fail():
    limiter, until = Limiter(1), asyncio.Event()
    holder, *waiting = [asyncio.create_task(hold(limiter, until)) for _ in range(3)]
    await turns()
    limiter.fail_waiting(lambda: ValueError("gone"))
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(error) for error in found] == ["gone", "gone"] and found[0] is not found[1]
    until.set()
    await holder
    assert limiter.in_use == 0


async def test_a_cut_lets_nobody_in_until_enough_have_left():
    clock, until, began = Clock(), asyncio.Event(), []
    limiter = Limiter(4, clock)
    first = [asyncio.create_task(hold(limiter, until)) for _ in range(4)]
    later = asyncio.create_task(hold(limiter, until, began, "later"))
    await turns()
    assert limiter.overloaded(clock.now) and limiter.limit == 2
    for task in first[:2]:
        task.cancel()
    await turns()
    assert (limiter.in_use, began) == (2, [])
    first[2].cancel()
    await turns()
    assert (limiter.in_use, began) == (2, ["later"])
    until.set()
    await asyncio.gather(*first, later, return_exceptions=True)


def test_halved_once_a_round_and_once_a_second():
    clock = Clock()
    limiter = Limiter(32, clock)
    sent = clock.now
    assert limiter.overloaded(sent) and limiter.limit == 16
    assert not limiter.overloaded(clock.now)  # within the same second
    clock.now += 5
    assert not limiter.overloaded(sent)  # sent when the limit was still 32
    assert limiter.overloaded(clock.now) and limiter.limit == 8
    for _ in range(5):
        clock.now += 2
        limiter.overloaded(clock.now)
    assert limiter.limit == 1
    assert not limiter.overloaded(clock.now + 2)  # it cannot get lower


def test_up_by_one_for_a_round_of_successes():
    clock = Clock()
    limiter = Limiter(8, clock)
    limiter.overloaded(clock.now)
    rounds = []
    for _ in range(6):
        before = limiter.limit
        for _ in range(before + 1):  # one more for rounding
            limiter.succeeded()
        rounds.append(limiter.limit)
    assert rounds == [5, 6, 7, 8, 8, 8]


async def with_in_flight(limiter, n):
    for _ in range(n):
        await limiter.__aenter__()


@pytest.mark.parametrize("polls", [[(32, 0)] * 20, [(32, 0), (31, 1), (30, 2), (29, 3), (32, 0)] * 5])
async def test_a_server_of_ours_is_kept_full(polls):
    """max_num_seqs as our concurrency: a wave of new requests that are being read is no queue."""
    limiter = Limiter(32)
    await with_in_flight(limiter, 32)
    assert not any(limiter.observe(*poll) for poll in polls)
    assert limiter.limit == 32


async def test_a_server_that_is_still_filling_up_is_not_cut():
    limiter = Limiter(32)
    await with_in_flight(limiter, 32)
    for running in (2, 6, 9, 15, 22, 31):
        assert not limiter.observe(running, 32 - running)
    assert limiter.limit == 32


async def test_a_lasting_queue_brings_the_limit_to_what_the_server_can_run():
    limiter = Limiter(64)
    await with_in_flight(limiter, 64)
    assert not limiter.observe(20, 44)
    assert limiter.observe(20, 44)
    assert limiter.limit == 22  # the 20 that run, and a tenth more to go on with
    limiter.in_use = 22
    for _ in range(20):
        limiter.observe(20, 2)
    assert limiter.limit == 22
    limits = []
    for _ in range(4):
        limiter.observe(20, 0)
        limits.append(limiter.limit)
    assert limits == [33, 49, 64, 64]


async def test_one_replica_behind_a_balancer_says_nothing():
    limiter = Limiter(64)
    await with_in_flight(limiter, 64)
    for _ in range(5):
        assert not limiter.observe(10, 6)
    assert limiter.limit == 64


async def test_the_gauges_do_not_undo_a_cut():
    clock = Clock()
    limiter = Limiter(16, clock)
    limiter.overloaded(clock.now)
    for _ in range(10):
        limiter.observe(8, 0)
    assert limiter.limit == 8


step = st.one_of(
    st.just(("success",)),
    st.tuples(st.just("overload"), st.floats(0, 3)),
    st.tuples(st.just("poll"), st.integers(0, 100), st.integers(0, 100)),
)


@given(st.integers(1, 40), st.integers(0, 40), st.lists(step, max_size=60))
def test_whatever_comes_the_limit_stays_in_its_bounds_and_comes_back(most, in_flight, steps):
    clock = Clock()
    limiter = Limiter(most, clock)
    limiter.in_use = min(in_flight, most)
    for what, *values in steps:
        before = limiter.limit
        if what == "success":
            limiter.succeeded()
        elif what == "poll":
            assert limiter.observe(*values) == (limiter.limit < before)
        else:
            clock.now += values[0]
            assert limiter.overloaded(clock.now) == (limiter.limit < before)
        assert 1 <= limiter.limit <= most
    for _ in range(40):
        limiter.observe(1, 0)
    for _ in range(1000):
        limiter.succeeded()
    assert limiter.limit == most


METRICS = """# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a } 7"} 3.0
vllm:num_requests_running{engine="1",model_name="a } 7"} 4.0
vllm:num_requests_waiting{engine="0",model_name="a } 7"} 2.0
vllm:num_requests_waiting{engine="1",model_name="a } 7"} 1e+01
vllm:num_requests_waiting_by_reason{engine="0",model_name="a",reason="capacity"} 90.0
"""


def test_reading_gauges():
    assert read_gauges(METRICS) == (7, 12)
    assert read_gauges("vllm:num_requests_running 1\nvllm:num_requests_waiting 0\n") == (1, 0)
    for text in ("", "<html>", METRICS.split("vllm:num_requests_waiting{")[0], METRICS.replace("3.0", "NaN"),
                 METRICS.replace("3.0", "three")):  # fmt: skip
        assert read_gauges(text) is None
