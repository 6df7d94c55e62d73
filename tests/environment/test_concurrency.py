"""Many at once: one builds, the others wait and find it built; nobody waits for another environment's downloads."""

from __future__ import annotations

import errno
import fcntl
import shutil
import threading
from contextlib import ExitStack

import pytest

from mlp.environment import EnvironmentCache, locks
from mlp.environment.uses import User
from mlp.errors import EnvironmentUnavailable, RunCancelled, VolumeNotWritable, VolumeWithoutLocks
from tests.environment.asking import Asking
from tests.servers.conda_channel import Channel, noarch, python_stub
from tests.servers.package_server import serving

PROCESSES = 8
PATIENCE = 120.0


@pytest.fixture
def served(tmp_path):
    """A channel over HTTP."""
    Channel(tmp_path / "served", python_stub(), noarch("words"), noarch("other"))
    with serving(tmp_path / "served") as server:
        yield server


def test_8_first_runs_at_once_build_once(conda, cache, served, project, run_in):
    specification = conda("python", "words", "pip: [beta]", channel=served.url)
    served.behaviour.held = ("words-1.0-py_0.tar.bz2",)
    with ExitStack() as stack:
        asking = [stack.enter_context(Asking(cache.root, project / "conda.yaml")) for _ in range(PROCESSES)]
        # The one that builds cannot get on before all the others have said that they wait for it.
        assert served.asked_for_held.wait(PATIENCE)
        builders = [each for each in asking if each.builder is not None]
        assert len(builders) == 1
        for each in asking:
            if each is not builders[0]:
                each.hear_step(f"Waiting for the conda environment {specification.hash}")
        served.release()
        results = [each.result() for each in asking]
    assert sorted(result["built"] for result in results) == [False] * (PROCESSES - 1) + [True]
    assert {result["path"] for result in results} == {str(cache.root / specification.hash)}
    fetched = [request.path for request in served.requests if request.path.endswith(".tar.bz2")]
    assert len(fetched) == len(set(fetched)) == 2
    assert run_in(cache.find(specification), "beta && python -c 'import words'") == "beta 1.0"


def test_a_slow_download_holds_up_nobody_elses_environment(conda, cache, served, project, run_in):
    conda("python", "words", channel=served.url)
    served.behaviour.held = ("words-1.0-py_0.tar.bz2",)
    with Asking(cache.root, project / "conda.yaml") as slow:
        assert served.asked_for_held.wait(PATIENCE)
        (project / "quick").mkdir()
        other = cache.ensure(conda("python", "other", channel=served.url))
        assert run_in(other, "python -c 'import other; print(other.version)'") == "1.0"
        assert slow.process.poll() is None
        served.release()
        assert slow.result()["built"] is True
    # What both have fetched is in the shared cache once, and nothing is left of their own.
    caches = cache.layout.caches
    assert not list((caches / "builds").iterdir())
    assert sorted(path.name for path in (caches / "pkgs").iterdir() if path.is_dir()) == [
        "other-1.0-py_0",
        next((caches / "pkgs").glob("python-*_cpython")).name,
        "words-1.0-py_0",
    ]


def test_threads_of_one_process_build_once(conda, cache):
    specification = conda("python", "words")
    built = []
    threads = [threading.Thread(target=lambda: built.append(cache.ensure(specification).built)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(built) == [False, False, False, True]


def test_who_waits_can_be_cancelled(conda, cache):
    specification = conda("python")
    cancelled = threading.Event()
    with locks.try_exclusive(cache.layout.lock(specification.hash)) as held:
        assert held is not None
        with pytest.raises(RunCancelled, match="while it waited for its environment"):
            cache.ensure(specification, cancelled=cancelled, progress=lambda _: cancelled.set())


def test_an_environment_that_is_held_is_neither_refreshed_nor_collected(conda, cache):
    specification = conda("python")
    environment = cache.ensure(specification)
    cancelled = threading.Event()
    with environment.hold():
        assert [kept.hash for kept in cache.prune(keep=0).busy] == [environment.hash]
        with pytest.raises(RunCancelled):
            cache.ensure(specification, refresh=True, cancelled=cancelled, progress=lambda _: cancelled.set())
        assert cache.find(specification)
    assert [kept.hash for kept in cache.prune(keep=0).environments] == [environment.hash]


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_refused(conda, tmp_path, monkeypatch, number):
    # No such file system can be had here, so the kernel's answer is made up.
    def flock(_descriptor, _kind):
        raise OSError(number, "not here")

    specification = conda("python")
    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(VolumeWithoutLocks, match=r"has no locks \(flock: not here\).* Set MLP_ENV_ROOT to.* claim"):
        EnvironmentCache(tmp_path / "envs").ensure(specification)


def test_a_root_that_cannot_be_written_is_told(conda, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(VolumeNotWritable, match=r"nothing can be written: .*\. Set MLP_ENV_ROOT to"):
        EnvironmentCache(tmp_path / "file" / "envs").ensure(conda("python"))


class TestSharing:
    """An environment that others have marked as used, and a run that wants it built anew."""

    OTHER = User("pod-1", "team/run-1")
    OWN = User("pod-2", "team/run-2")

    def test_it_is_built_beside_what_others_use_and_found_there_from_then_on(self, conda, cache, run_in):
        specification = conda("python", "words")
        used = cache.ensure(specification, user=self.OTHER)
        fresh = cache.ensure(specification, refresh=True, user=self.OWN)
        assert fresh.built
        assert fresh.hash != used.hash
        assert run_in(used, "python -c 'import words; print(words.version)'") == "2.0"
        assert run_in(fresh, "python -c 'import words; print(words.version)'") == "2.0"
        assert cache.find(specification).hash == fresh.hash
        assert {(use.hash, use.id) for use in cache.uses()} == {(used.hash, "pod-1"), (fresh.hash, "pod-2")}
        # Each is an environment of its own to the collector.
        assert {kept.hash for kept in cache.prune(keep=0).busy} == {used.hash, fresh.hash}
        ended = [use for use in cache.uses() if use.id == "pod-1"]
        assert [kept.hash for kept in cache.prune(keep=0, ended=ended).environments] == [used.hash]
        assert cache.find(specification).hash == fresh.hash

    def test_what_nobody_else_uses_is_built_in_its_place(self, conda, cache):
        specification = conda("python")
        first = cache.ensure(specification, user=self.OWN)
        again = cache.ensure(specification, refresh=True, user=self.OWN)
        assert (again.built, again.hash) == (True, first.hash)
        assert [use.hash for use in cache.uses()] == [first.hash]

    def test_what_was_built_beside_and_is_gone_is_built_again(self, conda, cache):
        specification = conda("python")
        cache.ensure(specification, user=self.OTHER)
        fresh = cache.ensure(specification, refresh=True, user=self.OWN)
        shutil.rmtree(fresh.path)
        again = cache.ensure(specification)
        assert (again.built, again.hash) == (True, fresh.hash)

    def test_what_is_marked_while_it_is_taken_away_is_put_back(self, conda, cache, monkeypatch):
        specification = conda("python")
        first = cache.ensure(specification)
        move_away = type(cache.layout).move_away

        def while_somebody_asks(layout, name):
            assert cache.ensure(specification, user=self.OTHER).hash == first.hash
            return move_away(layout, name)

        monkeypatch.setattr(type(cache.layout), "move_away", while_somebody_asks)
        fresh = cache.ensure(specification, refresh=True)
        assert fresh.hash != first.hash
        assert (first.path / "bin" / "python").exists()

    def test_a_build_that_fails_leaves_no_mark_and_what_there_was(self, conda, cache, tmp_path):
        channel = Channel(tmp_path / "own", python_stub())
        specification = conda("python", channel=channel.url)
        first = cache.ensure(specification, user=self.OTHER)
        shutil.rmtree(channel.root)
        with pytest.raises(EnvironmentUnavailable):
            cache.ensure(specification, refresh=True, user=self.OWN)
        assert cache.find(specification).hash == first.hash
        assert [use.id for use in cache.uses()] == ["pod-1"]
        assert list(cache.layout.names()) == [first.hash]
