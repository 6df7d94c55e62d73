"""What goes when environments are collected, and what stays."""

from __future__ import annotations

import os
import time

import pytest

from mlp.environment import locks
from mlp.environment.uses import User, mark
from mlp.errors import UsageError
from tests.environment.asking import Asking
from tests.servers.conda_channel import Channel, Package
from tests.servers.package_server import serving

DAY = 86400.0


def package(name: str, size: int = 0) -> Package:
    return Package(name, files={f"share/{name}": os.urandom(size)})


@pytest.fixture
def made(conda, cache, tmp_path):
    """Make an environment of some packages that was last used so many days ago."""
    channel = Channel(tmp_path / "channel", package("a"), package("b"), package("c"), package("big", 1_000_000))

    def make(*names: str, days: float = 0.0):
        environment = cache.ensure(conda(*names, channel=channel.url))
        moment = time.time() - days * DAY
        # Built that long ago, too: a build counts as a use.
        marker = environment.locked / "ready.json"
        marker.write_text(marker.read_text().replace(f'"built": {environment.record["built"]}', f'"built": {moment}'))
        os.utime(cache.layout.lock(environment.hash), (moment, moment))
        return environment

    return make


def hashes(kept):
    return [each.hash for each in kept]


def cached(cache):
    return sorted(path.name for path in (cache.layout.caches / "pkgs").iterdir() if path.is_dir())


def test_environments_are_listed_the_last_used_first(made, cache, project):
    old, new = made("a", days=3), made("b")
    first, second = cache.list()
    assert (first.hash, second.hash) == (new.hash, old.hash)
    assert (first.kind, first.file, first.whole) == ("conda", str(project / "conda.yaml"), True)
    assert 0 <= time.time() - first.used < DAY < time.time() - second.used
    assert 0 < first.size < 10**6


def test_what_was_not_used_for_long_goes(made, cache):
    old, new = made("a", days=31), made("b", days=29)
    assert hashes(cache.prune(unused_for=30 * DAY).environments) == [old.hash]
    assert hashes(cache.list()) == [new.hash]
    assert not old.path.exists()
    assert not list(cache.layout.trash.iterdir())


def test_a_use_is_noted(made, cache, conda, tmp_path):
    used = made("a", days=31)
    found = cache.find(conda("a", channel=(tmp_path / "channel").as_uri()))
    assert found.hash == used.hash
    assert not cache.prune(unused_for=30 * DAY).environments


def test_all_but_the_last_used_go(made, cache):
    environments = [made(name, days=days) for name, days in (("a", 1), ("b", 3), ("c", 2))]
    assert hashes(cache.prune(keep=1).environments) == [environments[1].hash, environments[2].hash]
    assert hashes(cache.list()) == [environments[0].hash]


def test_as_many_go_as_it_takes_to_get_below_a_size(made, cache):
    small, big = made("a"), made("big", days=1)
    assert not cache.prune(max_size=10**7).environments
    assert hashes(cache.prune(max_size=500_000).environments) == [big.hash]
    assert hashes(cache.list()) == [small.hash]


def test_what_environments_share_counts_once(made, cache):
    made("big", days=1)
    made("big", "a")
    assert not cache.prune(max_size=1_500_000).environments


def test_packages_go_with_the_last_environment_that_needs_them(made, cache):
    first = made("a", "b", days=2)
    made("b", "c")
    assert cached(cache) == ["a-1.0-0", "b-1.0-0", "c-1.0-0"]
    assert cache.prune(keep=1).packages == ("a-1.0-0",)
    assert cached(cache) == ["b-1.0-0", "c-1.0-0"]
    assert not first.path.exists()


def test_what_a_run_needs_can_be_named(made, cache):
    one, two = made("a", days=2), made("b", days=2)
    assert hashes(cache.prune(keep=0, in_use=[one.hash]).environments) == [two.hash]


def test_nothing_goes_when_it_is_only_asked(made, cache):
    one = made("a", days=2)
    assert hashes(cache.prune(keep=0, dry_run=True).environments) == [one.hash]
    assert hashes(cache.list()) == [one.hash]


def test_what_was_never_finished_goes_at_once(made, cache):
    half = made("a")
    (half.locked / "ready.json").unlink()
    (half.path / "readonly").mkdir(mode=0o500)
    whole = made("b")
    assert [(kept.hash, kept.whole) for kept in cache.prune().environments] == [(half.hash, False)]
    assert hashes(cache.list()) == [whole.hash]


def test_what_is_being_built_stays(conda, cache, project, tmp_path):
    Channel(tmp_path / "served", package("words"))
    with serving(tmp_path / "served", held=(".tar.bz2",)) as server:
        specification = conda("words", channel=server.url)
        with Asking(cache.root, project / "conda.yaml") as asking:
            assert server.asked_for_held.wait(60)
            collected = cache.prune(keep=0)
            assert (hashes(collected.environments), hashes(collected.busy)) == ([], [specification.hash])
            server.release()
            assert asking.result()["built"] is True
    assert cache.find(specification)


def test_what_is_asked_for_while_it_is_taken_away_stays(made, cache, conda, tmp_path, monkeypatch):
    environment = made("a", days=40)
    specification = conda("a", channel=(tmp_path / "channel").as_uri())
    move_away = type(cache.layout).move_away

    def while_somebody_asks(layout, name):
        assert cache.find(specification)
        return move_away(layout, name)

    monkeypatch.setattr(type(cache.layout), "move_away", while_somebody_asks)
    assert hashes(cache.prune(unused_for=30 * DAY).busy) == [environment.hash]
    assert cache.find(specification)


def test_what_is_finished_while_others_are_looked_at_stays(made, cache, monkeypatch):
    environment = made("a")
    marker = environment.locked / "ready.json"
    text = marker.read_text()
    marker.unlink()
    try_exclusive = locks.try_exclusive

    def when_the_builder_is_done(file):
        if file == cache.layout.lock(environment.hash):
            marker.write_text(text)
        return try_exclusive(file)

    monkeypatch.setattr(locks, "try_exclusive", when_the_builder_is_done)
    assert hashes(cache.prune().busy) == [environment.hash]
    assert environment.path.is_dir()


def test_what_others_have_taken_away_is_removed_unless_they_may_put_it_back(made, cache):
    environment = made("a")
    with locks.try_exclusive(cache.layout.lock(environment.hash)):
        away = cache.layout.move_away(environment.hash)
        cache.prune()
        assert (away / ".mlp" / "ready.json").is_file()
    cache.prune()
    assert not away.exists()


def test_what_a_killed_builder_had_fetched_goes(made, cache):
    environment = made("a")
    left = cache.layout.caches / "builds" / environment.hash
    left.mkdir()
    half_unpacked = cache.layout.caches / "pkgs" / ".b-1.0-0-x1y2"
    half_unpacked.mkdir()
    with locks.try_exclusive(cache.layout.lock(environment.hash)):
        cache.prune()
        assert left.exists()
    assert not half_unpacked.exists()
    cache.prune()
    assert not left.exists()


def test_an_empty_cache_is_no_mistake(cache):
    assert cache.list() == []
    assert not cache.prune(keep=0).environments


class TestMarks:
    """Who uses an environment without being able to hold its lock leaves a mark."""

    def test_what_is_marked_stays(self, made, cache):
        one, two = made("a", days=40), made("b", days=40)
        mark(cache.layout, one.hash, User("pod-1", "team/run-1"))
        collected = cache.prune(keep=0)
        assert (hashes(collected.environments), hashes(collected.busy)) == ([two.hash], [one.hash])
        assert one.path.exists()

    def test_a_mark_counts_for_a_week_where_nobody_can_be_asked(self, made, cache):
        one = made("a", days=40)
        mark(cache.layout, one.hash, User("pod-1", "team/run-1"))
        moment = time.time() - 8 * DAY
        os.utime(cache.layout.uses(one.hash) / "pod-1", (moment, moment))
        assert hashes(cache.prune(keep=0, trusted_for=None).busy) == [one.hash]
        assert hashes(cache.prune(keep=0).environments) == [one.hash]

    def test_marks_of_those_who_have_ended_go_and_the_others_hold(self, made, cache):
        one, two = made("a", days=40), made("b", days=40)
        ended = [mark(cache.layout, one.hash, User(f"pod-{number}", "team/run")) for number in (1, 2)]
        ended.append(mark(cache.layout, two.hash, User("pod-1", "team/run")))
        mark(cache.layout, two.hash, User("pod-3", "team/run"))
        assert hashes(cache.prune(keep=0, ended=ended, dry_run=True).environments) == [one.hash]
        assert len(cache.uses()) == 4
        assert hashes(cache.prune(keep=0, ended=ended).environments) == [one.hash]
        assert [(use.hash, use.id) for use in cache.uses()] == [(two.hash, "pod-3")]
        assert not cache.layout.uses(one.hash).exists()

    def test_a_mark_that_was_left_anew_counts_anew(self, made, cache):
        one = made("a", days=40)
        before = mark(cache.layout, one.hash, User("pod-1", "team/run"))
        moment = before.since + 5
        os.utime(cache.layout.uses(one.hash) / "pod-1", (moment, moment))
        assert hashes(cache.prune(keep=0, ended=[before], dry_run=True).busy) == [one.hash]

    def test_what_is_marked_while_it_is_taken_away_stays(self, made, cache, monkeypatch):
        environment = made("a", days=40)
        move_away = type(cache.layout).move_away

        def while_somebody_marks(layout, name):
            mark(cache.layout, name, User("pod-1", "team/run"))
            return move_away(layout, name)

        monkeypatch.setattr(type(cache.layout), "move_away", while_somebody_marks)
        assert hashes(cache.prune(unused_for=30 * DAY).busy) == [environment.hash]
        assert environment.path.exists()

    @pytest.mark.parametrize("identifier", ["", "../x", "a/b", ".hidden", "x" * 64])
    def test_a_mark_is_a_file_of_its_directory_and_nothing_else(self, cache, identifier):
        with pytest.raises(UsageError):
            mark(cache.layout, "0" * 20, User(identifier, "team/run"))
        assert not cache.root.exists()

    def test_whatever_else_lies_there_is_no_mark(self, cache):
        mark(cache.layout, "0" * 20, User("pod-1", "team/run"))
        (cache.layout.uses("") / "a file").touch()
        (cache.layout.uses("0" * 20) / ".nfs0001").touch()
        assert [use.id for use in cache.uses()] == ["pod-1"]
