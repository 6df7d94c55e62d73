"""``mlp run -f``: a ProjectRun on this machine, without any cluster."""

from __future__ import annotations

import json
import sys

import pytest
import yaml

from tests.cli.program import commit, mlp, project

ARGV = f"{sys.executable} -c 'import json, sys; print(json.dumps(sys.argv[1:]))'"


def manifest(path, uri, *, project_keys=None, **spec):
    source = {"uri": uri, **(project_keys or {})} if uri else dict(project_keys or {})
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "mlp.dev/v1alpha1",
                "kind": "ProjectRun",
                "metadata": {"name": "sample"},
                "spec": {"project": source, **spec},
            },
            allow_unicode=True,
        )
    )
    return path


@pytest.fixture
def repository(tmp_path):
    project(tmp_path / "work" / "inner", f"{ARGV} {{alpha}}", parameters={"alpha": "float"})
    (tmp_path / "work" / "inner" / "other.sh").write_text('echo "other $*"\n')
    commit(tmp_path / "work")
    return f"file://{tmp_path / 'work'}"


def test_what_the_manifest_says_is_executed(repository, tmp_path):
    parameters = [{"name": "alpha", "value": "0.5"}, {"name": "text", "value": "it's\n$HOME Zoë"}]
    file = manifest(
        tmp_path / "run.yaml",
        repository,
        project_keys={"version": "main", "subdirectory": "inner"},
        parameters=parameters,
        environment={"manager": "Local"},
    )

    done = mlp("run", "-f", file)

    assert json.loads(done.stdout) == ["0.5", "--text", "it's\n$HOME Zoë"]
    assert done.returncode == 0
    assert "Not applied" not in done.stderr


def test_a_manifest_comes_by_standard_input(repository, tmp_path):
    file = manifest(tmp_path / "run.yaml", f"{repository}#inner", project_keys={"entryPoint": "other.sh"})

    assert mlp("run", "-f", "-", stdin=file.read_text(), SHELL="/bin/sh").stdout == "other \n"


def test_the_command_line_takes_precedence(repository, tmp_path):
    keys = {"version": "gone", "subdirectory": "nowhere"}
    parameters = [{"name": "alpha", "value": "1"}, {"name": "beta", "value": "2"}]
    file = manifest(tmp_path / "run.yaml", repository, project_keys=keys, parameters=parameters)
    here = tmp_path / "work" / "inner"

    done = mlp("run", here, "-f", file, "-P", "alpha=3", "-P", "gamma=4")
    assert json.loads(done.stdout) == ["3", "--beta", "2", "--gamma", "4"]

    assert mlp("run", here, "-f", file, "-e", "other.sh", SHELL="/bin/sh").stdout == "other --alpha 1 --beta 2\n"


def test_a_version_on_the_command_line_replaces_the_manifest_s(repository, tmp_path):
    file = manifest(tmp_path / "run.yaml", f"{repository}#inner", project_keys={"version": "gone"})

    assert "'gone'" in mlp("run", "-f", file, "-P", "alpha=1").stderr
    assert json.loads(mlp("run", "-f", file, "-v", "main", "-P", "alpha=1").stdout) == ["1"]


def test_fields_of_the_cluster_alone_are_named_in_one_line(repository, tmp_path):
    file = manifest(
        tmp_path / "run.yaml",
        f"{repository}#inner",
        project_keys={"authSecretRef": {"name": "git"}},
        parameters=[{"name": "alpha", "value": "1"}],
        activeDeadlineSeconds=60,
        backoffLimit=0,
        suspend=False,
        environment={"manager": "Image", "image": "registry.example.com/i:1"},
        backend={
            "type": "Kubernetes",
            "kubernetes": {"nodeSelector": {"disk": "ssd"}, "env": [{"name": "A", "value": "b"}]},
        },
    )

    done = mlp("run", "-f", file)

    assert done.returncode == 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Not applied on this machine: ")]
    assert set(line.removeprefix("Not applied on this machine: ").split(", ")) == {
        "spec.project.authSecretRef (your own Git credentials are used)",
        "spec.environment.image",
        "spec.backend.kubernetes.nodeSelector",
        "spec.backend.kubernetes.env (set the variables yourself)",
        "spec.activeDeadlineSeconds",
    }


def test_what_is_meant_for_databricks_is_tried_here(repository, tmp_path):
    backend = {"type": "Databricks", "databricks": {"secretRef": {"name": "databricks"}, "serverless": {}}}
    parameters = [{"name": "alpha", "value": "1"}]
    file = manifest(tmp_path / "run.yaml", f"{repository}#inner", parameters=parameters, backend=backend)

    done = mlp("run", "-f", file)

    assert (done.returncode, json.loads(done.stdout)) == (0, ["1"])
    assert "Not applied on this machine: spec.backend.databricks (this machine is used)\n" in done.stderr


@pytest.mark.parametrize(
    ("keys", "spec", "named", "way_out"),
    [
        (
            {},
            {"parameters": [{"name": "token", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
            "parameter token",
            "-P token=VALUE",
        ),
    ],
)
def test_what_changes_the_execution_and_cannot_be_honoured_is_refused(repository, tmp_path, keys, spec, named, way_out):
    file = manifest(tmp_path / "run.yaml", f"{repository}#inner", project_keys=keys, **spec)

    done = mlp("run", "-f", file)

    assert done.returncode == 2
    assert done.stdout == ""
    assert named in done.stderr
    assert way_out in done.stderr


def test_a_bundle_is_refused_and_a_directory_can_stand_for_it(tmp_path):
    project(tmp_path / "p", f"{ARGV} {{alpha}}", parameters={"alpha": "float"})
    bundle = {"bundle": {"configMapName": "packed", "sha256": "0" * 64}}
    file = manifest(tmp_path / "run.yaml", None, project_keys=bundle, parameters=[{"name": "alpha", "value": "1"}])

    assert "spec.project.bundle" in mlp("run", "-f", file).stderr
    assert json.loads(mlp("run", tmp_path / "p", "-f", file).stdout) == ["1"]


def test_a_secret_parameter_can_be_given_here(repository, tmp_path):
    token = {"name": "token", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    file = manifest(tmp_path / "run.yaml", f"{repository}#inner", parameters=[{"name": "alpha", "value": "1"}, token])

    assert json.loads(mlp("run", "-f", file, "-P", "token=mine").stdout) == ["1", "--token", "mine"]


@pytest.mark.parametrize("manager", ["Auto", "Conda"])
def test_a_declared_environment_is_built_unless_the_current_one_is_asked_for(tmp_path, manager):
    project(tmp_path / "p", "echo ran", conda_env="conda.yaml")
    (tmp_path / "p" / "conda.yaml").write_text(
        "channels: [file:///no/such/channel, nodefaults]\ndependencies: [wine]\n"
    )
    file = manifest(tmp_path / "run.yaml", "https://git.example.com/p.git", environment={"manager": manager})

    refused = mlp("run", tmp_path / "p", "-f", file, MLP_ENV_ROOT=tmp_path / "envs")

    assert (refused.returncode, refused.stdout) == (69, "")
    assert "/no/such/channel" in refused.stderr
    assert mlp("run", tmp_path / "p", "-f", file, "--no-conda").stdout == "ran\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "run.yaml:1:6: this is not YAML"),
        ("", "run.yaml is empty; a ProjectRun begins with 'apiVersion: mlp.dev/v1alpha1'."),
        ("a: 1\n---\nb: 2\n", "run.yaml holds 2 documents"),
        ("- 1\n", "run.yaml holds no object"),
        ("a: \x07", "run.yaml is not YAML"),
        ("kind: Pod\napiVersion: v1\n", "run.yaml is no valid ProjectRun:\n"),
    ],
)
def test_a_file_that_holds_no_projectrun_is_a_usage_error_with_its_name(tmp_path, text, message):
    (tmp_path / "run.yaml").write_text(text)

    done = mlp("run", "-f", "run.yaml", cwd=tmp_path)

    assert done.returncode == 2
    assert f"Error: {message}" in done.stderr


def test_a_misspelt_field_and_a_number_for_a_string_are_explained(tmp_path):
    file = manifest(
        tmp_path / "run.yaml",
        "https://git.example.com/p.git",
        project_keys={"entrypoint": "x"},
        parameters=[{"name": "alpha", "value": 0.5}],
    )

    done = mlp("run", "-f", file)

    assert done.returncode == 2
    assert "spec.project.entrypoint: unknown field; did you mean entryPoint?" in done.stderr
    assert 'spec.parameters[0].value: must be a string; write "0.5"' in done.stderr


def test_a_file_that_is_not_there_is_named(tmp_path):
    done = mlp("run", "-f", tmp_path / "no.yaml")

    assert done.returncode == 2
    assert f"{tmp_path / 'no.yaml'} cannot be read: No such file or directory." in done.stderr


def test_options_of_the_command_line_go_with_a_manifest(tmp_path):
    project(tmp_path / "p", "cat {data}", parameters={"data": "path"})
    (tmp_path / "table.csv").write_text("1,2\n")
    file = manifest(tmp_path / "run.yaml", "https://git.example.com/p.git")
    options = ["--storage-dir", tmp_path / "kept", "--git-username", "ann", "--git-password", "x", "-A", "gpus=all"]

    done = mlp("run", tmp_path / "p", "-f", file, "-P", f"data={tmp_path / 'table.csv'}", *options, "--run-name", "a")

    assert (done.returncode, done.stdout) == (0, "1,2\n")
