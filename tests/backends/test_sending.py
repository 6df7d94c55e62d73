"""What goes along with a run: packed projects, and files that are parameters."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import Path

import pytest
import yaml

from mlp.backends.files_along import FilesAlong, split_files
from mlp.backends.sending import Luggage
from mlp.backends.submission import Request
from mlp.errors import ParameterInvalid, ProjectInvalid, SourceInvalid, UsageError
from mlp.resources import ProjectRun
from mlp.source.bundle import snapshot
from tests.cli.program import commit, project
from tests.resources.manifests import URI, project_run
from tests.source.repositories import noise

PATHS = {"data": {"type": "path", "default": "table.csv"}}


@pytest.fixture(autouse=True)
def at_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")


@pytest.fixture
def wine(tmp_path):
    """A project with a parameter that is a path."""
    root = project(tmp_path / "wine", "python train.py {data}", parameters=PATHS)
    (root / "train.py").write_text("")
    (root / "table.csv").write_text("1")
    return root


def submission(uri=None, **options):
    luggage = {key: options.pop(key) for key in ("files", "staging", "limit") if key in options}
    return Luggage(Request(uri=None if uri is None else str(uri), **options), **luggage).new()


def content(config_map, key="project.tar.gz"):
    return base64.b64decode(config_map["binaryData"][key])


def test_a_directory_becomes_a_bundle_in_a_config_map_that_the_run_names(wine):
    sent = submission(wine)

    (config_map,) = sent.config_maps
    bundle = sent.run["spec"]["project"]["bundle"]
    assert sent.run["metadata"]["name"].startswith("wine-main-")
    assert bundle["configMapName"] == config_map["metadata"]["name"]
    files = snapshot(content(config_map), sha256=bundle["sha256"], wanted=bool)
    assert files.paths == {"MLproject", "train.py", "table.csv"}
    assert config_map["immutable"]
    assert config_map["metadata"]["labels"] == {"mlp.dev/projectrun": sent.run["metadata"]["name"]}
    ProjectRun.parse(sent.run)


def test_the_same_directory_twice_is_the_same_content_under_two_names(wine):
    one, two = submission(wine), submission(wine)

    assert one.config_maps[0]["binaryData"] == two.config_maps[0]["binaryData"]
    assert one.config_maps[0]["metadata"]["name"] != two.config_maps[0]["metadata"]["name"]


def test_a_subdirectory_of_what_is_sent_is_named(wine):
    sent = submission(f"{wine.parent}#wine")

    assert sent.run["spec"]["project"]["subdirectory"] == "wine"
    assert sent.run["metadata"]["name"].startswith("wine-main-")


def test_a_directory_in_git_leaves_its_commit_and_whether_it_is_that_in_the_tags(wine):
    revision = commit(wine)

    def tags():
        return {tag["name"]: tag["value"] for tag in submission(wine).run["spec"]["experiment"]["tags"]}

    clean = {"mlflow.source.git.commit": revision, "mlflow.source.git.branch": "main", "mlp.source.dirty": "false"}
    assert tags() == clean
    (wine / "train.py").write_text("changed")
    assert tags() == clean | {"mlp.source.dirty": "true"}


def test_what_is_sent_is_said_before(wine):
    commit(wine)
    (wine / "new.py").write_text("")

    (line,) = Luggage(Request(uri=str(wine))).said()

    assert line.startswith("Sending 4 files, ")
    assert line.endswith(" with changes)")


def test_a_parameter_that_looks_misspelt_is_said_before(wine):
    luggage = Luggage(Request(uri=str(wine), parameters={"dat": "table.csv"}))
    luggage.new()

    warning, line = luggage.said()

    assert warning.startswith("Warning: Parameter 'dat' is not declared")
    assert "Did you mean 'data'?" in warning
    assert line.startswith("Sending 3 files, ")


def test_a_project_over_a_config_maps_size_wants_a_store_and_gets_one_by_its_digest(wine):
    (wine / "weights.bin").write_bytes(noise(1_500_000, 1))

    with pytest.raises(SourceInvalid, match=r"weights.bin \(1.5 MB\).*--staging s3://"):
        submission(wine)
    sent = submission(wine, staging="s3://bucket/bundles")
    bundle = sent.run["spec"]["project"]["bundle"]
    assert bundle["uri"] == f"s3://bucket/bundles/{bundle['sha256']}.tar.gz"
    assert sent.config_maps == ()
    with pytest.raises(SourceInvalid, match=r"more than 1.2 MB when packed"):
        submission(wine, staging="s3://bucket/bundles", limit=1_200_000)


def test_a_small_project_needs_no_store_though_one_is_named(wine):
    assert submission(wine, staging="s3://bucket/x").config_maps


def test_a_file_given_with_a_directory_keeps_all_but_its_project(wine):
    theirs = {"name": "mlp.source.dirty", "value": "mine"}
    manifest = project_run(name="a", backoffLimit=3, experiment={"name": "wine", "tags": [theirs]})
    commit(wine)

    sent = Luggage(Request(uri=str(wine))).of(manifest)

    spec = sent.run["spec"]
    assert set(spec["project"]) == {"bundle"}
    assert (spec["backoffLimit"], spec["experiment"]["name"]) == (3, "wine")
    assert theirs in spec["experiment"]["tags"]
    assert len(spec["experiment"]["tags"]) == 3


# Checked as the pod will see it


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"entry_point": "trian"}, "trian"),
        ({"parameters": {"data": "no/such.csv"}}, "which is not among what is sent"),
        ({"parameters": {"data": "mine.csv"}}, r"not among what is sent \(there is one here: -P data=@mine.csv\)"),
        ({"parameters": {"data": "s3:///"}}, "ends with no name"),
    ],
)
def test_mistakes_are_told_before_anything_is_sent(wine, tmp_path, options, message):
    (tmp_path / "mine.csv").write_text("1")

    with pytest.raises(ProjectInvalid, match=message):
        submission(wine, **options)


def test_a_path_of_this_machine_is_told_with_the_way_out(wine, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("1")

    with pytest.raises(ProjectInvalid, match=rf"a path of this machine.*-P data=@{file}"):
        submission(wine, parameters={"data": str(file)})


def test_a_file_that_is_left_out_is_missed_at_once(wine):
    (wine / ".mlpignore").write_text("*.csv")

    with pytest.raises(ProjectInvalid, match=r"table\.csv"):
        submission(wine)


def test_a_project_that_reaches_out_of_what_is_sent_is_told_what_to_send(tmp_path):
    root = project(tmp_path / "all/wine", "python ../common/train.py --with=../common")
    (tmp_path / "all/common").mkdir()
    (tmp_path / "all/common/train.py").write_text("")

    with pytest.raises(ProjectInvalid) as caught:
        submission(root)

    assert "The command names ../common/train.py, which lies outside of what is sent." in str(caught.value)
    assert str(caught.value).endswith(f"mlp submit '{tmp_path / 'all'}#wine'")
    assert submission(f"{tmp_path / 'all'}#wine").config_maps


def test_an_environment_file_outside_of_what_is_sent_is_told_what_to_send(tmp_path):
    root = project(tmp_path / "all/wine", "python train.py", python_env="../python_env.yaml")
    (tmp_path / "all/python_env.yaml").write_text(yaml.safe_dump({"python": "3.11"}))

    with pytest.raises(ProjectInvalid, match="lies outside the project"):
        submission(root)


def test_an_environment_file_counts_only_where_it_is_read(tmp_path):
    root = project(tmp_path / "wine", "python train.py", python_env="python_env.yaml")
    (root / "python_env.yaml").write_text("dependencies: {}")

    with pytest.raises(ProjectInvalid, match=r"python_env\.yaml"):
        submission(root)
    assert submission(root, env_manager="local").config_maps
    assert submission(root, image="registry.example.org/wine:1").config_maps


@pytest.mark.parametrize("option", ["version", "auth_secret"])
def test_what_belongs_to_a_repository_is_refused_for_a_directory(wine, option):
    with pytest.raises(UsageError, match="is for a project in a Git repository"):
        submission(wine, **{option: "x"})


# Files along


def test_values_that_begin_with_an_at_sign_are_files_or_are_written_with_two():
    values, files = split_files({"a": "1", "b": "@x/y.csv", "c": "@@ann", "d": "ann@example.com", "e": "@@@"})

    assert values == {"a": "1", "c": "@ann", "d": "ann@example.com", "e": "@@"}
    assert files == {"b": Path("x/y.csv")}


def test_files_travel_in_a_config_map_and_their_parameters_are_their_paths(tmp_path):
    (tmp_path / "red wine.csv").write_text("red")
    (tmp_path / "ü.bin").write_bytes(b"\0\xff")

    sent = submission(URI, files={"data": Path("red wine.csv"), "über/x": Path("ü.bin")}, parameters={"alpha": "1"})

    (config_map,) = sent.config_maps
    spec = ProjectRun.parse(sent.run).spec
    kubernetes = spec.backend.kubernetes
    parameters = {parameter.name: parameter.value for parameter in spec.parameters}
    assert parameters["alpha"] == "1"
    assert parameters["data"] == "/var/run/mlp/files/data/red wine.csv"
    mounted = {
        mount.mount_path: base64.b64decode(config_map["binaryData"][mount.sub_path])
        for mount in kubernetes.volume_mounts
    }
    assert mounted == {parameters["data"]: b"red", parameters["über/x"]: b"\0\xff"}
    assert sent.run["spec"]["backend"]["kubernetes"]["volumes"] == [
        {"name": "mlp-files", "configMap": {"name": config_map["metadata"]["name"]}}
    ]


def test_files_go_along_with_a_directory_and_with_volumes_of_a_file(wine, tmp_path):
    (tmp_path / "mine.csv").write_text("1")
    volumes = {"volumes": [{"name": "v", "emptyDir": {}}], "volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    manifest = project_run(name="a", backend={"kubernetes": volumes})

    sent = Luggage(Request(uri=str(wine)), files={"data": Path("mine.csv")}).of(manifest)

    kubernetes = sent.run["spec"]["backend"]["kubernetes"]
    assert [volume["name"] for volume in kubernetes["volumes"]] == ["v", "mlp-files"]
    assert [mount["mountPath"] for mount in kubernetes["volumeMounts"]] == ["/v", "/var/run/mlp/files/data/mine.csv"]
    assert len(sent.config_maps) == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.csv", r"there is no file missing.csv.*write '@@missing.csv'"),
        ("directory", "is a directory, and only files are sent along"),
        ("large.bin", "too large to be sent along"),
        ("a:b", "can be sent along. Rename it"),
        ("/dev/zero", "not an ordinary file"),
    ],
)
def test_a_file_that_cannot_go_along_is_named(tmp_path, name, message):
    (tmp_path / "directory").mkdir()
    (tmp_path / "a:b").write_text("")
    (tmp_path / "large.bin").write_bytes(bytes(1_000_001))

    with pytest.raises(ParameterInvalid, match=message):
        FilesAlong({"data": Path(name)})


def test_files_together_are_bounded(tmp_path):
    (tmp_path / "half.bin").write_bytes(bytes(500_001))

    with pytest.raises(ParameterInvalid, match=r"Parameter b: half\.bin is too large"):
        FilesAlong({"a": Path("half.bin"), "b": Path("half.bin")})


def test_every_field_of_a_request_reaches_the_spec():
    fields = {field.name for field in dataclasses.fields(Request)} - {"project", "pod", "parameters", "tags"}
    fields -= {"databricks_host", "databricks_secret", "cluster_spec"}
    values = {"cache_policy": "use", "env_manager": "local", "backoff_limit": 1, "cpu": "1", "memory": "1Gi"}
    seconds = dict.fromkeys(("active_deadline", "pending_deadline", "ttl"), 1.0)
    given = {
        name: {**values, **seconds, "uri": URI, "tracking_uri": "https://a.example"}.get(name, "x") for name in fields
    }

    whole = Request(**given).to_spec()

    for name in fields:
        assert Request(**{key: value for key, value in given.items() if key != name}).to_spec() != whole, name
