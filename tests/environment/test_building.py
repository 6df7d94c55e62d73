from __future__ import annotations

import json
import os
import sys
import threading
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from mlp.environment import EnvironmentCache
from mlp.errors import EnvironmentUnavailable, PreparationError, RunCancelled
from tests.cluster import pki
from tests.environment.local_package import write_package
from tests.servers.conda_channel import VERSION, Channel, Package, noarch, python_real, python_stub
from tests.servers.package_server import serving
from tests.servers.wheels import Index

MINOR = VERSION.rpartition(".")[0]


def test_a_conda_environment_is_built_once_and_found_again(conda, cache, run_in):
    first, second = cache.ensure(conda("python", "greeter")), cache.ensure(conda("python", "greeter"))
    assert (first.built, second.built) == (True, False)
    assert first.path == second.path == cache.root / first.hash
    assert run_in(first, "greeter") == "greeter 1.0"
    assert run_in(first, "python -c 'import sys, words; print(sys.prefix, words.version)'") == f"{first.path} 1.0"


def test_the_pip_section_goes_on_top_of_the_conda_packages(conda, cache, run_in):
    environment = cache.ensure(conda("python", "words=2", "pip: [beta, 'alpha<2']"))
    assert run_in(environment, "beta && python -c 'import alpha, words; print(alpha.version, words.version)'") == (
        "beta 1.0\n1.0 2.0"
    )
    # What conda has installed is in the other lock files.
    assert (environment.locked / "pip-freeze.txt").read_text() == "alpha==1.0\nbeta==1.0\n"


def test_lock_files_say_what_was_installed(conda, cache, conda_channel):
    locked = cache.ensure(conda("python", "greeter")).locked
    explicit = (locked / "explicit.txt").read_text().splitlines()
    assert explicit[:2] == ["# platform: linux-64", "@EXPLICIT"]
    assert sorted(line.rpartition("/")[2].partition("#")[0] for line in explicit[2:]) == [
        "greeter-1.0-py_0.tar.bz2",
        f"python-{VERSION}-0_cpython.tar.bz2",
        "words-1.0-py_0.tar.bz2",
    ]
    assert all(len(line.partition("#")[2]) == 32 for line in explicit[2:])
    assert "greeter-1.0-py_0" in (locked / "env.lock.yaml").read_text()
    ready = json.loads((locked / "ready.json").read_text())
    assert ready["hash"] == locked.parent.name
    assert ready["request"]["conda"] == ["greeter", "python"]
    assert ready["request"]["channels"] == [conda_channel.url]


def test_variables_of_the_file_and_of_packages_are_set_and_scripts_of_packages_are_sourced(
    conda, cache, tmp_path, run_in
):
    activating = Package(
        "activating",
        files={
            "etc/conda/activate.d/activating.sh": 'export FROM_SCRIPT="$CONDA_PREFIX and $GIVEN"\n',
            "etc/conda/env_vars.d/activating.json": json.dumps({"FROM_PACKAGE": "a 'b' c"}),
        },
    )
    channel = Channel(tmp_path / "channel", activating)
    environment = cache.ensure(conda("activating", channel=channel.url, more='variables: {GIVEN: "it\'s $HOME"}\n'))
    said = run_in(environment, 'echo "$FROM_SCRIPT|$FROM_PACKAGE|$GIVEN|$CONDA_DEFAULT_ENV|$PYTHONNOUSERSITE"')
    assert said == f"{environment.path} and it's $HOME|a 'b' c|it's $HOME|{environment.path}|1"
    assert environment.variables["GIVEN"] == "it's $HOME"


def test_activation_extends_the_path_and_leaves_another_environment(python_env, cache, run_in):
    environment = cache.ensure(python_env("dependencies: [alpha]\n"))
    said = run_in(
        environment, 'echo "$PATH|$VIRTUAL_ENV|${PYTHONHOME-none}"', VIRTUAL_ENV="/elsewhere", PYTHONHOME="/x"
    )
    assert said == f"{environment.path / 'bin'}:{os.environ['PATH']}|{environment.path}|none"


def test_a_python_environment_has_the_version_of_the_interpreter_that_runs_mlp(python_env, cache, run_in):
    environment = cache.ensure(python_env("dependencies: [beta]\n"))
    assert run_in(environment, "python -c 'import platform; print(platform.python_version())'") == VERSION
    assert run_in(environment, "beta") == "beta 1.0"
    assert (environment.locked / "pip-freeze.txt").read_text() == "alpha==2.0\nbeta==1.0\n"


def test_build_dependencies_come_first_and_constraints_hold_for_all(python_env, cache, project, run_in):
    (project / "requirements.txt").write_text("beta\n-c limits.txt\n")
    (project / "limits.txt").write_text("alpha<2  # for now\n")
    environment = cache.ensure(python_env("build_dependencies: [alpha]\ndependencies: [-r requirements.txt]\n"))
    assert run_in(environment, "python -c 'import alpha; print(alpha.version)'") == "1.0"


def test_constraints_of_the_machine_hold_too(python_env, cache, tmp_path, monkeypatch, run_in):
    (tmp_path / "limits.txt").write_text("alpha<2\n")
    unlimited = python_env("dependencies: [alpha]\n")
    monkeypatch.setenv("PIP_CONSTRAINT", str(tmp_path / "limits.txt"))
    limited = python_env("dependencies: [alpha]\n")
    assert limited.hash != unlimited.hash
    assert run_in(cache.ensure(limited), "python -c 'import alpha; print(alpha.version)'") == "1.0"


def test_refreshing_asks_an_index_again(python_env, cache, tmp_path, monkeypatch, run_in):
    index = Index(tmp_path / "index")
    index.add("gamma")
    monkeypatch.delenv("UV_NO_INDEX")
    with serving(index.root) as server:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{server.url}/simple")
        cache.ensure(python_env("dependencies: [gamma]\n"))
        index.add("gamma", "2.0")
        refreshed = cache.ensure(python_env("dependencies: [gamma]\n"), refresh=True)
    assert run_in(refreshed, "python -c 'import gamma; print(gamma.version)'") == "2.0"


def test_an_empty_file_gives_an_interpreter_and_nothing_else(python_env, cache):
    environment = cache.ensure(python_env(""))
    assert (environment.locked / "pip-freeze.txt").read_text() == ""


def test_an_interpreter_that_this_machine_lacks_comes_from_a_conda_channel(
    python_env, cache, tmp_path, monkeypatch, run_in
):
    channel = Channel(tmp_path / "channel", python_stub("3.11.99"), python_stub("3.11.98"))
    monkeypatch.setenv("MLP_CONDA_CHANNELS", channel.url)
    lines = []
    environment = cache.ensure(python_env("python: 3.11.98\ndependencies: [beta]\n"), progress=lines.append)
    assert f"This machine has no Python 3.11.98: taking it from {channel.url}" in lines
    assert run_in(environment, "beta && echo $CONDA_PREFIX") == f"beta 1.0\n{environment.path}"
    assert "python-3.11.98-0_cpython" in (environment.locked / "explicit.txt").read_text()


def test_a_machines_own_interpreter_is_all_that_may_be_allowed(python_env, cache, monkeypatch):
    monkeypatch.setenv("MLP_PYTHON_FROM", "machine")
    with pytest.raises(EnvironmentUnavailable, match=r"no Python 3\.11\.98, which .*python_env\.yaml asks for"):
        cache.ensure(python_env("python: 3.11.98\n"))


def test_an_interpreter_may_have_to_come_from_a_channel(python_env, cache, conda_channel, monkeypatch):
    monkeypatch.setenv("MLP_PYTHON_FROM", "conda")
    monkeypatch.setenv("MLP_CONDA_CHANNELS", conda_channel.url)
    environment = cache.ensure(python_env(f"python: '{MINOR}'\n"))
    assert f"python-{VERSION}-0_cpython" in (environment.locked / "explicit.txt").read_text()


def test_interpreters_of_pyenv_count_as_this_machines(python_env, cache, tmp_path, monkeypatch):
    versions = tmp_path / "pyenv" / "versions"
    for version in ("3.98.2", "3.98.10", "3.9.1", "3.98.11-dev"):
        (versions / version / "bin").mkdir(parents=True)
        # In truth each is this interpreter; which was taken is written down.
        (versions / version / "bin" / "python").symlink_to(os.path.realpath(sys._base_executable))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    environment = cache.ensure(python_env("python: '3.98'\n"))
    assert environment.record["interpreter"] == str(versions / "3.98.10" / "bin" / "python")


def test_python_files_are_compiled_once_for_all_runs(conda, cache, monkeypatch):
    monkeypatch.delenv("MLP_ENV_COMPILE")
    environment = cache.ensure(conda("python", "words", "pip: [alpha]"))
    site = environment.path / "lib" / f"python{MINOR}" / "site-packages"
    for module in ("words.py", "alpha.py"):
        assert Path(cache_from_source(str(site / module))).is_file()


def test_compiling_can_be_left_out(python_env, cache):
    environment = cache.ensure(python_env("dependencies: [alpha]\n"))
    assert not list(environment.path.rglob("alpha*.pyc"))


def test_packages_are_hard_links_into_the_cache_or_copies(conda, cache, monkeypatch):
    linked = cache.ensure(conda("python", "words", "pip: [alpha]"))
    monkeypatch.setenv("MLP_LINK_MODE", "copy")
    copied = cache.ensure(conda("python", "words", "pip: [alpha]", more="variables: {A: 1}\n"))
    for module in ("words.py", "alpha.py"):
        names = [next(environment.path.rglob(module)).stat().st_nlink for environment in (linked, copied)]
        assert names[0] > 1
        assert names[1] == 1


def test_a_package_of_the_project_is_installed_as_a_copy(python_env, cache, project, run_in):
    write_package(project / "lib", "1")
    first = cache.ensure(python_env("dependencies: [-e ./lib]\n"))
    write_package(project / "lib", "2")
    second = cache.ensure(python_env("dependencies: [-e ./lib]\n"))
    assert first.hash != second.hash
    assert [run_in(each, "python -c 'import ours; print(ours.value)'") for each in (first, second)] == ["1", "2"]


def test_an_environment_whose_interpreter_has_gone_is_built_again(python_env, cache):
    environment = cache.ensure(python_env("dependencies: [alpha]\n"))
    (environment.path / "bin" / "python").unlink()
    again = cache.ensure(python_env("dependencies: [alpha]\n"))
    assert again.built
    assert (again.path / "bin" / "python").exists()


def test_refreshing_takes_what_there_is_today(conda, cache, tmp_path, run_in):
    channel = Channel(tmp_path / "channel", python_stub(), noarch("words"))
    first = cache.ensure(conda("python", "words", channel=channel.url))
    channel.add(noarch("words", "3.0"))
    kept = cache.ensure(conda("python", "words", channel=channel.url))
    version = "python -c 'import words; print(words.version)'"
    assert (kept.built, run_in(kept, version)) == (False, "1.0")
    refreshed = cache.ensure(conda("python", "words", channel=channel.url), refresh=True)
    assert (refreshed.built, refreshed.path, run_in(refreshed, version)) == (True, first.path, "3.0")


def test_nothing_after_a_date_is_used(conda, cache, tmp_path, monkeypatch, run_in):
    later = noarch("words", "9.0")
    later.more["timestamp"] = 1_800_000_000_000
    channel = Channel(tmp_path / "channel", python_stub(), noarch("words"), later)
    monkeypatch.setenv("MLP_EXCLUDE_NEWER", "2026-01-01")
    environment = cache.ensure(conda("python", "words", channel=channel.url))
    assert run_in(environment, "python -c 'import words; print(words.version)'") == "1.0"


def test_link_scripts_of_packages_run_unless_they_must_not(conda, cache, tmp_path, monkeypatch):
    script = 'echo "$PREFIX" > "$PREFIX/linked"\n'
    package = Package(
        "scripted", files={"bin/.scripted-post-link.sh": script}, executable={"bin/.scripted-post-link.sh"}
    )
    channel = Channel(tmp_path / "channel", package)
    environment = cache.ensure(conda("scripted", channel=channel.url))
    assert (environment.path / "linked").read_text().strip() == str(environment.path)
    monkeypatch.setenv("MLP_CONDA_LINK_SCRIPTS", "false")
    assert not (cache.ensure(conda("scripted", channel=channel.url)).path / "linked").exists()


def test_virtual_packages_can_be_pinned(conda, cache, tmp_path, monkeypatch):
    channel = Channel(tmp_path / "channel", Package("fast", depends=("__cuda >=12",)))
    monkeypatch.setenv("CONDA_OVERRIDE_CUDA", "12.4")
    assert cache.ensure(conda("fast", channel=channel.url)).built


def test_a_pip_section_needs_an_interpreter(conda, cache, tmp_path):
    channel = Channel(tmp_path / "channel", Package("tool"))
    with pytest.raises(PreparationError, match="add python to its dependencies"):
        cache.ensure(conda("tool", "pip: [alpha]", channel=channel.url))


def test_an_environment_needs_no_interpreter(conda, cache, tmp_path, run_in):
    tool = Package("tool", files={"bin/tool": "#!/bin/sh\necho done\n"}, executable={"bin/tool"})
    environment = cache.ensure(conda("tool", channel=Channel(tmp_path / "channel", tool).url))
    assert run_in(environment, "tool") == "done"


def test_a_cut_file_in_the_package_cache_never_reaches_an_environment(conda, cache, run_in):
    cache.ensure(conda("python", "words"))
    for cached in (cache.root / ".cache" / "pkgs").rglob("words.py"):
        replaced = cached.with_suffix(".new")
        replaced.write_text("version = 'cut'\n")
        replaced.rename(cached)
    again = cache.ensure(conda("python", "words", more="variables: {A: 1}\n"))
    assert run_in(again, "python -c 'import words; print(words.version)'") == "2.0"


def test_packages_can_come_from_a_cache_that_is_only_read(conda, cache, tmp_path, monkeypatch):
    channel = Channel(tmp_path / "channel", python_stub(), noarch("words"))
    cache.ensure(conda("python", "words", channel=channel.url))
    baked = (cache.root / ".cache" / "pkgs").rename(tmp_path / "baked")
    for package in channel.root.rglob("*.tar.bz2"):
        package.unlink()
    monkeypatch.setenv("MLP_CONDA_PACKAGE_LAYERS", str(baked))
    elsewhere = EnvironmentCache(tmp_path / "elsewhere")
    assert elsewhere.ensure(conda("python", "words", channel=channel.url)).built


def test_a_real_interpreter_runs_from_where_it_was_installed(conda, cache, tmp_path, run_in):
    channel = Channel(tmp_path / "channel", python_real(tmp_path / "work"), noarch("words"))
    environment = cache.ensure(conda("python", "words", "pip: [beta]", channel=channel.url))
    script = "import sys, sysconfig, json, sqlite3, words; print(sys.prefix, sysconfig.get_config_var('prefix'))"
    assert run_in(environment, f'beta && python -c "{script}"') == f"beta 1.0\n{environment.path} {environment.path}"
    assert not (environment.path / "bin" / "python").resolve().is_relative_to(sys.base_prefix)


def test_a_build_that_takes_too_long_is_given_up(conda, cache, monkeypatch):
    monkeypatch.setenv("MLP_ENV_BUILD_TIMEOUT", "0.05")
    with pytest.raises(PreparationError, match=r"took longer than 0\.05 s .* MLP_ENV_BUILD_TIMEOUT allows more"):
        cache.ensure(conda("python", "words"))
    assert not list(cache.layout.names())


def test_a_cancelled_build_leaves_nothing(conda, cache):
    cancelled = threading.Event()
    with pytest.raises(RunCancelled):
        cache.ensure(conda("python"), cancelled=cancelled, progress=lambda _: cancelled.set())
    assert not list(cache.layout.names())
    assert cache.ensure(conda("python")).built


def test_a_project_cannot_put_its_own_modules_before_the_builders(conda, cache, project, monkeypatch):
    for name in ("json.py", "yaml.py", "rattler.py", "mlp.py"):
        (project / name).write_text("raise SystemExit('the wrong module')\n")
    monkeypatch.chdir(project)
    assert cache.ensure(conda("python", "words", "pip: [alpha]")).built


def test_a_user_without_a_home_can_build(conda, cache, monkeypatch):
    monkeypatch.delenv("HOME")
    assert cache.ensure(conda("python", "pip: [alpha]")).built


def test_what_is_active_around_a_build_does_not_decide_it(python_env, cache, tmp_path, monkeypatch, run_in):
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path))
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path))
    monkeypatch.setenv("PYTHONHOME", "")
    monkeypatch.setenv("UV_PYTHON", "2.7")
    monkeypatch.setenv("UV_SYSTEM_PYTHON", "1")
    monkeypatch.setenv("UV_WORKING_DIR", "/")
    environment = cache.ensure(python_env("dependencies: [beta]\n"))
    assert run_in(environment, "beta") == "beta 1.0"


def test_servers_with_a_certificate_of_a_private_authority(conda, cache, tmp_path, monkeypatch):
    pki.create(tmp_path / "pki", server="https://127.0.0.1")
    tls = (tmp_path / "pki" / "apiserver.crt", tmp_path / "pki" / "apiserver.key")
    Channel(tmp_path / "served", python_stub())
    Index(tmp_path / "index").add("gamma")
    monkeypatch.delenv("UV_NO_INDEX")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with serving(tmp_path / "served", tls=tls) as channel, serving(tmp_path / "index", tls=tls) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/simple")
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        monkeypatch.delenv("SSL_CERT_DIR", raising=False)
        for specification in (conda("python", channel=channel.url), conda("python", "pip: [gamma]")):
            with pytest.raises(EnvironmentUnavailable, match=r"(?i)certificate|UnknownIssuer|error sending request"):
                cache.ensure(specification)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "pki" / "ca.crt"))
        assert cache.ensure(conda("python", "pip: [gamma]", channel=channel.url)).built


def test_channel_priority_is_condas_unless_it_is_set(conda, cache, tmp_path, monkeypatch, run_in):
    first = Channel(tmp_path / "first", python_stub(), noarch("words"))
    second = Channel(tmp_path / "second", noarch("words", "2.0"))
    monkeypatch.setenv("MLP_CONDA_CHANNEL_ALIAS", tmp_path.as_uri())
    version = "python -c 'import words; print(words.version)'"
    # The first channel that has a package wins, unless what is asked for is only in another.
    assert run_in(cache.ensure(conda("python", "words", "second::words", channel=first.url)), version) == "2.0"
    from_both = f"{first.url}', '{second.url}"
    assert run_in(cache.ensure(conda("python", "words", channel=from_both)), version) == "1.0"
    assert run_in(cache.ensure(conda("python", "words=2", channel=from_both)), version) == "2.0"
    monkeypatch.setenv("MLP_CONDA_CHANNEL_PRIORITY", "disabled")
    assert run_in(cache.ensure(conda("python", "words", channel=from_both)), version) == "2.0"
