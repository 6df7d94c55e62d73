"""Where Kubernetes' programs come from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.cluster import binaries
from tests.cluster.layout import REPOSITORY, cache_directory


def programs(directory, names):
    directory.mkdir()
    for name in names:
        (directory / name).write_text("#!/bin/sh\n")
        (directory / name).chmod(0o755)
    return directory


def test_envtests_directory_comes_first_if_it_has_all_that_is_needed(tmp_path, monkeypatch):
    assets = programs(tmp_path / "assets", binaries.NODE)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    assert binaries.directory("node") == assets


def test_envtests_directory_is_passed_over_if_it_lacks_a_program(tmp_path, monkeypatch):
    assets = programs(tmp_path / "assets", ("etcd", "kube-apiserver", "kubectl"))
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cached = cache_directory() / f"kubernetes-{binaries.version()}"
    cached.parent.mkdir(parents=True)
    programs(cached, binaries.CONTROL_PLANE)
    assert binaries.directory("control-plane") == cached


def test_two_builds_at_once_build_each_program_once_and_leave_no_half_program(tmp_path, monkeypatch):
    # A go that takes its time and notes that it was called; what it writes is whole only at the end.
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(
        "#!/bin/bash\n"
        f'echo "${{@: -1}}" >>{tmp_path}/calls\n'
        'while [ "$1" != -o ]; do shift; done\n'
        'echo half >"$2"; sleep 0.3; echo whole >"$2"; chmod +x "$2"\n'
    )
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{go.parent}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    command = [sys.executable, "-c", "from tests.cluster.binaries import directory as d; print(d('control-plane'))"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY, text=True) for _ in range(2)]
    (place,) = {process.communicate()[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    calls = (tmp_path / "calls").read_text().splitlines()
    assert sorted(call.rpartition("/")[2] for call in calls) == [
        "kube-apiserver",
        "kube-controller-manager",
        "kubectl",
        "v3",
    ]
    built = {path.name: path.read_text() for path in Path(place).iterdir() if path.name != ".lock"}
    assert built == dict.fromkeys(binaries.CONTROL_PLANE, "whole\n")
