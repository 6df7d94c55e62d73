"""What a run needs is sent once, to where it is wanted, and what cannot be sent is refused with the way out."""

import pytest

from mlp.backends.databricks import delivery
from mlp.backends.databricks.access import token_access
from mlp.backends.databricks.delivery import plan_delivery
from mlp.backends.databricks.submitting import submit
from mlp.backends.databricks.task import ArchivedProject, Assignment, Compute, GitProject
from mlp.backends.databricks.workspace import connect
from mlp.errors import UsageError, WorkspaceDenied, WorkspaceRefused
from tests.backends.databricks.tasks import task

PROJECT = ArchivedProject(key="ab" * 32)
UPLOADS = ("/workspace/import", "/fs/files", "/dbfs/put", "/dbfs/create")


@pytest.fixture
def connected(databricks):
    databricks.script("a run", "SUCCESS")
    with connect(token_access(databricks.url, databricks.token)) as workspace:
        yield workspace


def plan(workspace, archive=lambda: b"archive", **given):
    return plan_delivery(workspace, task(**given), PROJECT, archive)


def uploads(databricks):
    return sum(databricks.journal.count("POST", path) + databricks.journal.count("PUT", path) for path in UPLOADS)


@pytest.mark.parametrize(
    ("upload_to", "directory", "program"),
    [
        (None, "/Workspace/Users/ann@example.com/.mlp", "/Workspace/Users/ann@example.com/.mlp"),
        ("/Volumes/main/default/files/mlp", "/Volumes/main/default/files/mlp", "dbfs:/Volumes/main/default/files/mlp"),
        (
            "dbfs:/Volumes/main/default/files/mlp",
            "/Volumes/main/default/files/mlp",
            "dbfs:/Volumes/main/default/files/mlp",
        ),
        ("dbfs:/mlp", "/dbfs/mlp", "dbfs:/mlp"),
    ],
)
def test_files_lie_where_the_task_says_and_are_named_as_each_side_knows_them(connected, upload_to, directory, program):
    places = plan(connected, upload_to=upload_to).places
    assert places.project == f"{directory}/project-{'ab' * 32}.tar.gz"
    assert places.runtime.startswith(f"{directory}/mlp_remote-")
    assert places.bootstrap.startswith(f"{program}/bootstrap-")
    assert places.bootstrap.endswith(".py")
    assert places.assignment is None


def test_on_serverless_compute_the_program_lies_among_the_workspaces_files(connected):
    places = plan(connected, compute=Compute(serverless=True), upload_to="/Volumes/main/default/files/mlp").places
    assert places.bootstrap.startswith("/Workspace/Users/ann@example.com/.mlp/bootstrap-")
    assert places.project.startswith("/Volumes/main/default/files/mlp/project-")


def test_a_long_assignment_is_a_file_of_its_own(connected):
    long = Assignment(directory="/d", parameters={"text": "x" * 8000})
    first, second = (plan(connected, assignment=long).places.assignment for _ in range(2))
    other = plan(connected, assignment=Assignment(directory="/e", parameters={"text": "x" * 8000})).places.assignment
    assert first == second != other


@pytest.mark.parametrize("text", ['"' * 3000, "\\" * 3000, "é" * 1400, "{{" * 1500])
def test_an_assignment_is_measured_as_the_arguments_of_a_request_hold_it(connected, text):
    given = Assignment(directory="/d", parameters={"text": text})
    submit(connected, task(project=PROJECT, assignment=given), lambda: b"archive")


@pytest.mark.parametrize("upload_to", [None, "/Volumes/main/default/files/mlp", "dbfs:/mlp"])
def test_what_is_there_is_not_sent_again(connected, databricks, upload_to):
    packed = []

    def archive():
        packed.append(1)
        return b"archive" * 200_000

    for _ in range(2):
        delivery._seen.clear()
        plan(connected, archive, upload_to=upload_to).send(connected)
    once = uploads(databricks)
    if upload_to != "dbfs:/mlp":  # which is asked for the size, and that only the archive itself can tell
        assert packed == [1]
    databricks.journal.clear()
    plan(connected, archive, upload_to=upload_to).send(connected)
    assert once == 3
    assert databricks.journal.requests() == []


def test_a_part_on_dbfs_is_not_taken_for_the_whole(connected, databricks):
    sent = plan(connected, lambda: b"the whole archive", upload_to="dbfs:/mlp")
    connected.put("dbfs:" + sent.places.project.removeprefix("/dbfs"), b"the who")
    sent.send(connected)
    assert (databricks.files.root / sent.places.project.lstrip("/")).read_bytes() == b"the whole archive"


def test_a_project_that_is_too_large_for_workspace_files_may_go_to_a_volume(connected, databricks):
    large = b"x" * (delivery.WORKSPACE_FILE_LIMIT + 1)
    with pytest.raises(UsageError, match=r"The project has 10\.0 MB .*upload_to: /Volumes/"):
        plan(connected, lambda: large).send(connected)
    sent = plan(connected, lambda: large, upload_to="/Volumes/main/default/files/mlp")
    sent.send(connected)
    assert (databricks.files.root / sent.places.project.lstrip("/")).stat().st_size == len(large)


def test_whoever_the_run_is_for_has_to_be_able_to_read_what_is_sent(connected):
    with pytest.raises(UsageError, match=r"bob@example\.com, who cannot read .*upload_to"):
        plan(connected, run_as={"user_name": "bob@example.com"})
    plan(connected, run_as={"user_name": "ann@example.com"})
    plan(connected, run_as={"user_name": "bob@example.com"}, upload_to="/Workspace/Shared/mlp")


def test_the_same_task_submitted_twice_is_one_run(connected):
    first, second = (submit(connected, task(project=PROJECT), lambda: b"archive") for _ in range(2))
    assert first == second


def test_a_task_that_is_wrong_sends_nothing(connected, databricks):
    begun = []
    wrong = task(project=PROJECT, compute=Compute(existing_cluster_id="0923-1-a"), tags={"a": "b"})
    with pytest.raises(UsageError, match="new cluster"):
        submit(connected, wrong, lambda: b"archive", before_sending=lambda: begun.append(1))
    assert uploads(databricks) == 0
    assert begun == []


def test_what_may_begin_a_run_is_announced_once_everything_is_there(connected, databricks):
    begun = []
    submit(
        connected, task(project=PROJECT), lambda: b"archive", before_sending=lambda: begun.append(uploads(databricks))
    )
    assert begun == [3]


def test_a_file_that_the_workspace_refuses_is_an_error_and_no_run(connected, databricks):
    with pytest.raises(WorkspaceRefused):
        submit(connected, task(project=PROJECT, upload_to="/Volumes/main/../x"), lambda: b"archive")
    assert databricks.runs() == []


def git_task(**given):
    return task(
        project=GitProject(
            uri="https://github.com/a/b", provider="gitHub", commit="c" * 40, python_file="train.py", **given
        )
    )


def test_a_private_repository_wants_a_credential_in_the_workspace(connected, databricks):
    never = pytest.fail
    with pytest.raises(WorkspaceDenied, match="no Git credential for gitHub"):
        submit(connected, git_task(private=True), never)
    databricks.git_credentials[databricks.user] = [
        {"credential_id": 1, "git_provider": "gitHub", "git_username": "ann"}
    ]
    assert submit(connected, git_task(private=True), never) > 0
    assert uploads(databricks) == 0
