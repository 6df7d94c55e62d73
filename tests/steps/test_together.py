from __future__ import annotations

import signal
import threading

import pytest

from mlp.errors import DataNotFound, RunCancelled
from mlp.steps.together import together

PATIENCE = 60


def test_results_come_in_the_order_of_the_tasks():
    assert together([lambda n=n: n for n in range(10)], threading.Event(), at_once=3) == list(range(10))
    assert together([], threading.Event(), at_once=3) == []


def test_as_many_are_under_way_as_may_be_and_no_more():
    under_way, most, lock, three = 0, 0, threading.Lock(), threading.Barrier(3)

    def task():
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        three.wait(PATIENCE)  # breaks unless three are there at once
        with lock:
            under_way -= 1

    together([task] * 9, threading.Event(), at_once=3)
    assert most == 3


def test_the_first_failure_ends_the_others_and_is_the_one_that_is_told():
    stop, begun = threading.Event(), threading.Event()

    def waits():
        begun.set()
        assert stop.wait(PATIENCE)
        raise RunCancelled("stopped")

    def fails():
        assert begun.wait(PATIENCE)
        raise DataNotFound("gone")

    never = []
    with pytest.raises(DataNotFound, match="gone"):
        together([waits, fails, lambda: never.append(1)], stop, at_once=2)
    assert not never


def test_what_comes_over_the_caller_ends_all():
    stop, ended = threading.Event(), threading.Event()

    def task():
        signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
        assert stop.wait(PATIENCE)
        ended.set()

    def handler(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            together([task], stop, at_once=1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert ended.is_set()
