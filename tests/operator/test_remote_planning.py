"""From what a user asks and what a project says to what is handed over to Databricks."""

from __future__ import annotations

import pytest

from mlp.errors import EntryPointNotFound, ParameterInvalid, UsageError
from mlp.project import MappingFiles
from mlp.resources import ProjectRun
from mlp.resources.plan import PlannedBundle, PlannedSource
from mlp_operator.runs.handing_over import task_of
from mlp_operator.runs.recording import TrackedRun, TrackingServer
from mlp_operator.runs.remote_planning import plan_remote_run, refuse_for_databricks
from tests.operator.build import COMMIT, run_body
from tests.operator.remote_world import BACKEND

WINE = """
name: wine
entry_points:
  main:
    parameters: {alpha: {type: float, default: 0.1}, table: path, out: uri}
    command: python train.py {alpha} {table} {out}
"""
SOURCE = PlannedSource(uri="https://git.example.org/wine", commit=COMMIT, subdirectory="models/wine")


def run_on_databricks(*, databricks=None, **spec):
    backend = {**BACKEND, "databricks": {**BACKEND["databricks"], **(databricks or {})}}
    # As it is stored, which may be by a CRD whose rules were others.
    return ProjectRun.model_construct(**dict(ProjectRun.parse(run_body(backend=backend, **spec))))


def planned(project=WINE, *, run=None, values=None, tracking=None, source=SOURCE, files=("train.py",)):
    found = MappingFiles("wine", {"MLproject": project}, files)
    return plan_remote_run(
        run or run_on_databricks(), files=found, source=source, values=values or {}, tracking=tracking
    )


def test_the_command_is_what_the_driver_will_execute():
    resolved = planned(values={"table": "data.csv", "out": "results", "alpha": "0.5", "extra": "it's"})
    project = "/tmp/mlp-run-uid/project/models/wine"
    assert resolved.plan.project.command == (
        f"python train.py 0.5 {project}/data.csv {project}/results --extra 'it'\"'\"'s'"
    )
    assert resolved.given == (("table", "data.csv"), ("out", "results"), ("alpha", "0.5"), ("extra", "it's"))


def test_data_is_downloaded_next_to_the_project():
    resolved = planned(values={"table": "s3://wine/table.csv", "out": "s3://wine/out"})
    assert [each.path for each in resolved.plan.downloads] == ["/tmp/mlp-run-uid/data/table/table.csv"]
    assert resolved.plan.project.command.endswith("/tmp/mlp-run-uid/data/table/table.csv s3://wine/out")


@pytest.mark.parametrize("path", ["/Volumes/main/wine/data/table.csv", "/dbfs/table.csv", "/opt/data/table.csv"])
def test_a_path_of_the_cluster_stays_as_it_is(path):
    assert path in planned(values={"table": path, "out": "o"}).plan.project.command


@pytest.mark.parametrize("path", ["/home/ann/table.csv", "/Users/ann/table.csv", "~/table.csv", "C:\\table.csv"])
def test_a_path_of_somebodys_machine_is_refused(path):
    with pytest.raises(ParameterInvalid, match="path of somebody's machine"):
        planned(values={"table": path, "out": "o"})


def test_a_docker_project_is_refused_in_mlflows_words():
    with pytest.raises(UsageError, match=r"^Running docker-based projects on Databricks is not yet supported\."):
        planned("docker_env: {image: python:3.12}\n" + WINE, values={"table": "t", "out": "o"})


def test_a_docker_project_runs_in_the_clusters_own_python_if_that_is_asked_for():
    run = run_on_databricks(environment={"manager": "Local"})
    resolved = planned("docker_env: {image: python:3.12}\n" + WINE, run=run, values={"table": "t", "out": "o"})
    assert resolved.plan.project.manager == "Local"


SPARK = "databricks_spark_job: {}\nentry_points: {main: {command: python nothere.py}}\n"


@pytest.mark.parametrize("project", ["databricks_spark_job: {python_file: nothere.py}\n", SPARK])
def test_a_spark_job_without_its_file_is_refused(project):
    with pytest.raises(EntryPointNotFound, match=r"the Python file nothere\.py, and the project has no such file"):
        planned(project)


def test_a_file_that_the_workspace_would_not_find_in_the_repository_is_refused():
    run = run_on_databricks(databricks={"projectSource": "Git", "gitProvider": "gitHub"})
    with pytest.raises(EntryPointNotFound, match=r"the Python file train\.py"):
        planned(run=run, values={"table": "/Volumes/t", "out": "o"}, files=())


def test_a_file_that_may_be_a_submodules_is_left_to_the_driver():
    job = "databricks_spark_job: {python_file: theirs/job.py}\n"
    assert planned(job, files=()).plan.project.command == "python theirs/job.py"
    whole = {"uri": "https://git.example.org/wine", "submodules": False}
    with pytest.raises(EntryPointNotFound, match=r"theirs/job\.py"):
        planned(job, run=run_on_databricks(project=whole), files=())
    # A link, which may lead to where the file is.
    planned(job, run=run_on_databricks(project=whole), files=("theirs",))


def test_a_spark_job_is_a_python_file_with_its_libraries():
    job = "databricks_spark_job: {python_file: job.py, parameters: [one, two words], python_libraries: [polars]}\n"
    resolved = planned(job, files=("job.py",))
    assert resolved.plan.project.command == "python job.py one 'two words'"
    assert resolved.python_libraries == ("polars",)


def test_an_entry_point_that_is_not_there_is_refused():
    with pytest.raises(EntryPointNotFound):
        planned(run=run_on_databricks(project={"uri": "https://git.example.org/wine", "entryPoint": "nosuch"}))


def test_data_on_a_tracking_server_that_is_not_there_is_refused():
    with pytest.raises(ParameterInvalid, match="there is none"):
        planned(values={"table": "runs:/1/table.csv", "out": "o"})
    server = TrackingServer("https://mlflow.example.org")
    assert planned(values={"table": "runs:/1/table.csv", "out": "o"}, tracking=server).plan.tracking_uri == server.uri


REFUSED = {
    "a secret parameter": (
        {"parameters": [{"name": "token", "valueFrom": {"secretKeyRef": {"name": "api", "key": "token"}}}]},
        "secret scope",
    ),
    "an image": ({"environment": {"image": "python:3.12"}}, "environment.image"),
    "credentials of channels": ({"environment": {"secretRef": {"name": "index"}}}, "environment.secretRef"),
    "credentials of data": ({"data": {"secretRef": {"name": "aws"}}}, "data.secretRef"),
}


@pytest.mark.parametrize(("spec", "said"), REFUSED.values(), ids=REFUSED)
def test_what_a_run_there_cannot_have_is_refused_by_name(spec, said):
    body = run_body(backend=BACKEND, **spec)
    # Stored under rules that let it pass.
    lenient = ProjectRun.parse(run_body(**spec))
    backend = ProjectRun.parse(run_body(backend=BACKEND)).spec.backend
    run = lenient.model_copy(update={"spec": lenient.spec.model_copy(update={"backend": backend})})
    with pytest.raises(UsageError, match=said):
        refuse_for_databricks(run)
    with pytest.raises(UsageError):
        ProjectRun.parse(body)


def task(run, source=SOURCE, **more):
    resolved = planned(values={"table": "t", "out": "o"}, run=run, source=source)
    facts = {"token": "run-uid-1", "tracked": None, "tracking_uri": None, **more}
    return task_of(run, run.spec.backend.databricks, resolved, **facts)


def test_an_archive_is_known_by_all_that_decides_about_its_content():
    run = run_on_databricks()
    other = PlannedSource(uri=SOURCE.uri, commit=COMMIT, subdirectory=SOURCE.subdirectory, lfs=True)
    elsewhere = PlannedSource(uri="https://git.example.org/fork", commit=COMMIT)
    keys = {task(run, source=each).project.key for each in (SOURCE, other, elsewhere)}
    assert len(keys) == 3
    bundle = PlannedSource(bundle=PlannedBundle(sha256="a" * 64))
    assert task(run, source=bundle).project.key == "a" * 64


def test_a_task_has_what_the_backend_says():
    run = run_on_databricks(
        databricks={
            "runAs": {"servicePrincipalName": "app-1"},
            "tags": [{"name": "team", "value": "a"}],
            "timeoutSeconds": 900,
            "uploadTo": "/Volumes/main/wine/mlp",
            "libraries": [{"pypi": {"package": "polars"}}],
        },
        activeDeadlineSeconds=600,
    )
    tracked = TrackedRun("https://mlflow.example.org", "7", "run-7", "SCHEDULED")
    found = task(run, tracked=tracked, tracking_uri=tracked.uri)
    assert found.run_as == {"service_principal_name": "app-1"}
    assert found.tags == {"team": "a"}
    assert found.timeout_seconds == 600
    assert found.upload_to == "/Volumes/main/wine/mlp"
    assert found.compute.libraries == ({"pypi": {"package": "polars"}},)
    assert (found.assignment.run_id, found.assignment.known_as, found.assignment.experiment_id) == ("run-7", None, "7")


def test_a_run_that_is_recorded_nowhere_is_known_by_its_uid():
    run = run_on_databricks()
    found = task(run, tracking_uri="https://mlflow.example.org").assignment
    assert (found.run_id, found.known_as) == (None, run.uid)
