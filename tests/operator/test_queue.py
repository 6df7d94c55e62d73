"""The work queue: each key at most once, by at most one worker, and failing keys on their own clocks."""

from __future__ import annotations

import asyncio
import time

import pytest

from mlp_operator.machinery.cluster import ApiError
from mlp_operator.machinery.loop import work
from mlp_operator.machinery.metrics import Metrics
from mlp_operator.machinery.queue import WorkQueue

A, B = ("team-a", "wine"), ("team-a", "beer")


@pytest.fixture
async def queue():
    made = WorkQueue()
    yield made
    made.close()


async def nothing_comes(queue, seconds=0.02):
    try:
        async with asyncio.timeout(seconds):
            await queue.get()
    except TimeoutError:
        return True
    return False


async def test_a_key_waits_once_however_often_it_is_named(queue):
    for _ in range(5):
        queue.add(A)
    assert len(queue) == 1
    assert await queue.get() == A
    assert await nothing_comes(queue)


async def test_keys_come_in_the_order_in_which_they_were_named(queue):
    for key in (A, B, A):
        queue.add(key)
    assert [await queue.get(), await queue.get()] == [A, B]


async def test_a_key_is_never_worked_on_twice_at_once(queue):
    queue.add(A)
    await queue.get()
    queue.add(A)
    assert await nothing_comes(queue)
    queue.done(A, ok=True)
    assert await queue.get() == A


async def test_a_busy_key_does_not_hold_up_another(queue):
    queue.add(A)
    await queue.get()
    queue.add(A)
    queue.add(B)
    assert await queue.get() == B


async def test_a_failing_key_comes_back_later_each_time_until_it_succeeds(queue):
    assert [queue.retry(A) for _ in range(4)] == [0.25, 0.5, 1.0, 2.0]
    for _ in range(40):
        longest = queue.retry(A)
    assert longest == 300
    assert queue.retry(B) == 0.25
    queue.done(A, ok=False)
    assert queue.retry(A) == 300
    queue.done(A, ok=True)
    assert queue.retry(A) == 0.25


async def test_of_several_wishes_for_later_the_earliest_stays(queue):
    queue.add_after(A, 60)
    queue.add_after(A, 0.01)
    queue.add_after(A, 30)
    async with asyncio.timeout(5):
        assert await queue.get() == A
    assert await nothing_comes(queue)


async def test_a_time_that_is_long_past_means_now(queue):
    queue.add_after(A, -5)
    async with asyncio.timeout(5):
        assert await queue.get() == A


async def test_a_closed_queue_forgets_its_timers(queue):
    queue.add_after(A, 0.01)
    queue.close()
    assert await nothing_comes(queue, 0.05)


async def test_a_stopping_queue_waits_for_what_is_in_hand_and_gives_out_nothing_more(queue):
    queue.add(A)
    await queue.get()
    queue.add(B)
    idle = asyncio.create_task(queue.idle())
    await asyncio.sleep(0)
    assert await nothing_comes(queue)
    assert not idle.done()
    queue.done(A, ok=True)
    async with asyncio.timeout(5):
        await idle


async def test_an_idle_queue_stops_at_once(queue):
    async with asyncio.timeout(5):
        await queue.idle()


# --- workers --------------------------------------------------------------------------------------------------------


class Recorded:
    """A controller that notes what it is asked, and does what the test says."""

    def __init__(self, answers):
        self.answers = answers
        self.seen = []
        self.times = []
        self.at_once = {}
        self.most_at_once = 0

    async def reconcile(self, key):
        self.seen.append(key)
        self.times.append(time.perf_counter())
        self.at_once[key] = self.at_once.get(key, 0) + 1
        self.most_at_once = max(self.most_at_once, self.at_once[key])
        await asyncio.sleep(0.005)
        self.at_once[key] -= 1
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer


async def worked(queue, controller, *, until, workers=3):
    metrics = Metrics()
    tasks = [asyncio.create_task(work(queue, controller, metrics)) for _ in range(workers)]
    async with asyncio.timeout(10):
        while not until():  # noqa: ASYNC110 -- the condition is the test's own
            await asyncio.sleep(0.005)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return metrics.text().decode()


async def test_a_storm_of_events_is_worked_off_one_at_a_time(queue):
    controller = Recorded([])

    async def storm():
        for _ in range(50):
            queue.add(A)
            await asyncio.sleep(0.001)

    storming = asyncio.create_task(storm())
    await worked(queue, controller, until=lambda: storming.done() and not queue._busy and not len(queue))
    assert controller.most_at_once == 1
    assert 2 <= len(controller.seen) <= 50


@pytest.mark.parametrize("error", [ApiError(409, "Conflict", "no"), RuntimeError("boom")], ids=["expected", "bug"])
async def test_a_failure_is_tried_again_and_stops_nobody_else(queue, error, caplog):
    controller = Recorded([error])
    queue.add(A)
    queue.add(B)
    counted = await worked(
        queue, controller, until=lambda: controller.seen.count(A) == 2 and not queue._busy, workers=1
    )
    assert controller.seen == [A, B, A]
    assert controller.times[2] - controller.times[0] >= 0.25
    assert 'mlp_reconcile_total{result="error"} 1.0' in counted
    assert [("team-a/wine" in record.getMessage(), bool(record.exc_info)) for record in caplog.records] == [
        (True, isinstance(error, RuntimeError))
    ]


async def test_a_key_that_wants_to_be_seen_later_is(queue):
    controller = Recorded([0.05])
    queue.add(A)
    await worked(queue, controller, until=lambda: len(controller.seen) == 2)
    assert controller.times[1] - controller.times[0] >= 0.05
