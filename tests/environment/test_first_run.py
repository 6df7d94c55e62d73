from __future__ import annotations

import subprocess

from mlp.environment import EnvironmentCache, read


def in_environment(environment, command: str) -> str:
    script = f'. "{environment.activate}" && {command}'
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def test_a_conda_environment_is_built_once_and_found_again(conda_channel, tmp_path):
    file = tmp_path / "conda.yaml"
    file.write_text(f"channels: [{conda_channel.url}, nodefaults]\ndependencies: [python, greeter]\n")
    cache = EnvironmentCache(tmp_path / "envs")
    first, second = cache.ensure(read("conda", file)), cache.ensure(read("conda", file))
    assert (first.built, second.built) == (True, False)
    assert first.path == second.path == tmp_path / "envs" / first.hash
    assert in_environment(first, "greeter") == "greeter 1.0"
