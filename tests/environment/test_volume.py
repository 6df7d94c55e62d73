"""A volume that is full, has no locks, or cannot be written: each is told apart, with the way out of it."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from pathlib import Path

import pytest

from mlp.environment import EnvironmentCache
from mlp.environment.uses import User, mark
from mlp.environment.volume import refusal, refusal_in
from mlp.errors import VolumeFull, VolumeNotWritable
from tests.environment.mounts import tmpfs
from tests.servers.conda_channel import Channel, Package
from tests.servers.wheels import wheel

ROOT = Path("/mlp/envs")


@pytest.fixture
def channel(tmp_path):
    big = Package("big", files={"share/big": os.urandom(700_000)}, suffix=".conda")
    return Channel(tmp_path / "channel", big, Package("small"))


@pytest.mark.parametrize(
    ("size", "link"), [("8k", "hardlink"), ("64k", "hardlink"), ("300k", "hardlink"), ("1m", "copy")]
)
def test_a_full_volume_is_told_as_such_wherever_a_build_meets_it(conda, channel, tmp_path, monkeypatch, size, link):
    """A directory, what is known of a channel, a package, or its copy: each may be what does not fit any more."""
    monkeypatch.setenv("MLP_LINK_MODE", link)
    with tmpfs(tmp_path / "volume", f"size={size}") as volume:
        cache = EnvironmentCache(volume)
        with pytest.raises(VolumeFull, match=r"no room left in .*volume.*mlp env prune.*claim") as raised:
            cache.ensure(conda("big", channel=channel.url))
        assert raised.value.exit_code == 75
        assert raised.value.temporary
        assert not list(cache.layout.names())


def test_a_full_volume_is_told_while_pips_packages_are_installed(python_env, tmp_path, monkeypatch):
    monkeypatch.setenv("MLP_PYTHON_FROM", "machine")
    (tmp_path / "wheels").mkdir()
    words = os.urandom(4_000_000).hex()
    wheel(tmp_path / "wheels", "large", modules={"large.py": f"words = '{words}'\n"})
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    with tmpfs(tmp_path / "volume", "size=3m") as volume:
        cache = EnvironmentCache(volume)
        with pytest.raises(VolumeFull, match="no room left"):
            cache.ensure(python_env("dependencies: [large]\n"))
        assert not list(cache.layout.names())


def test_what_was_built_before_the_volume_was_full_can_be_used(conda, channel, tmp_path):
    with tmpfs(tmp_path / "volume", "size=4m") as volume:
        cache = EnvironmentCache(volume)
        specification = conda("small", channel=channel.url)
        cache.ensure(specification)
        with contextlib.suppress(OSError), (volume / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(1 << 12))
        assert os.statvfs(volume).f_bavail == 0
        assert not cache.ensure(specification).built
        with pytest.raises(VolumeFull):
            mark(cache.layout, specification.hash, User("pod-1", "ns/pod-1"))
        assert cache.uses() == ()


def test_what_is_there_already_can_be_used_on_a_volume_that_can_only_be_read(conda, channel, tmp_path, caplog):
    with tmpfs(tmp_path / "volume", "size=4m") as volume:
        cache = EnvironmentCache(volume)
        specification = conda("small", channel=channel.url)
        cache.ensure(specification)
        subprocess.run(["mount", "-o", "remount,ro", str(volume)], check=True)
        assert not cache.ensure(specification, user=User("pod-1", "ns/pod-1")).built
        assert "must not be deleted" in caplog.text
        with pytest.raises(VolumeNotWritable):
            cache.ensure(specification, refresh=True)
        assert cache.find(specification)


def test_a_volume_that_can_only_be_read_is_told_as_such(conda, channel, tmp_path):
    with tmpfs(tmp_path / "volume", "ro") as volume:
        cache = EnvironmentCache(volume)
        with pytest.raises(
            VolumeNotWritable, match=r"nothing can be written: Read-only.*read-write.*fsGroup"
        ) as raised:
            cache.ensure(conda("small", channel=channel.url))
        assert raised.value.exit_code == 69
        with pytest.raises(VolumeNotWritable):
            mark(cache.layout, "0" * 20, User("pod-1", "ns/pod-1"))


@pytest.mark.parametrize(
    ("number", "file", "kind"),
    [
        (errno.ENOSPC, None, VolumeFull),
        (errno.EDQUOT, "/mlp/envs/x", VolumeFull),
        (errno.EROFS, "/mlp/envs/x", VolumeNotWritable),
        (errno.EACCES, "/mlp/envs/x", VolumeNotWritable),
        (errno.EACCES, "/mlp/run/project/setup.py", None),
        (errno.EACCES, None, None),
        (errno.ENOENT, "/mlp/envs/x", None),
    ],
)
def test_what_the_system_says_is_about_the_volume_or_not(number, file, kind):
    error = OSError(number, os.strerror(number), file) if file else OSError(number, os.strerror(number))
    assert type(refusal(error, ROOT)) is (kind or type(None))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("error: Failed to write\n  Caused by: failed to copy: No space left on device (os error 28)", VolumeFull),
        ("failed to link a: Disk quota exceeded (os error 122) at x", VolumeFull),
        ("Read-only file system (os error 30)", VolumeNotWritable),
        ("Connection refused (os error 111)", None),
        ("Permission denied (os error 13)", None),
        ("no error at all (28)", None),
    ],
)
def test_what_tools_say_ends_with_the_systems_number(text, kind):
    assert type(refusal_in(text, ROOT)) is (kind or type(None))
