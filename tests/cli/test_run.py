"""``mlp run`` with directories: what is executed, what is said, how it ends."""

from __future__ import annotations

import json
import re
import select
import subprocess
import sys

import pytest

from tests.cli.program import MLP, environment, mlp, project

ARGV = f"{sys.executable} -c 'import json, sys; print(json.dumps(sys.argv[1:]))'"

NASTY = [
    "a b",
    "it's",
    'say "hi"',
    "$HOME",
    "`id`",
    "x; false",
    "a\nb",
    "Zoë 🐍",
    "",
    "*",
    "{x}",
    "--flag",
    "a=b",
    "\\n",
]


def test_the_command_s_output_is_its_own_and_ours_goes_to_stderr(tmp_path):
    project(tmp_path, "echo out; echo err >&2")

    done = mlp("run", tmp_path)

    assert done.returncode == 0
    assert done.stdout == "out\n"
    assert done.stderr.splitlines()[0].startswith("The project declares no environment")
    assert re.search(
        r"^=== Running command 'echo out; echo err >&2' in run with ID '[0-9a-f]{32}' ===$", done.stderr, re.MULTILINE
    )
    assert "\nerr\n" in done.stderr
    assert re.search(r"^=== Run \(ID '[0-9a-f]{32}'\) succeeded ===$", done.stderr, re.MULTILINE)


@pytest.mark.parametrize(
    ("command", "status"), [("exit 3", 3), ("false", 1), ("no-such-program-here", 127), ("kill -9 $$", 137)]
)
def test_the_exit_status_is_the_command_s_own(tmp_path, command, status):
    done = mlp("run", project(tmp_path, command))

    assert done.returncode == status
    assert re.search(r"^Error: Run \(ID '[0-9a-f]{32}'\) failed: entry point main ", done.stderr, re.MULTILINE)


def test_a_command_that_memory_ran_out_for_is_told_apart(tmp_path):
    assert "was ended by SIGKILL. That is how the system ends" in mlp("run", project(tmp_path, "kill -9 $$")).stderr


def test_a_program_that_is_not_there_is_told_apart(tmp_path):
    assert "a program that is not on PATH" in mlp("run", project(tmp_path, "no-such-program-here")).stderr


def test_declared_parameters_arrive_exactly(tmp_path):
    names = [f"p{number}" for number in range(len(NASTY))]
    placeholders = " ".join(f"{{{name}}}" for name in names)
    project(tmp_path, f"{ARGV} {placeholders}", parameters=dict.fromkeys(names, "string"))

    given = [word for name, value in zip(names, NASTY, strict=True) for word in ("-P", f"{name}={value}")]
    done = mlp("run", tmp_path, *given)

    assert json.loads(done.stdout) == NASTY


def test_other_parameters_are_appended_exactly(tmp_path):
    project(tmp_path, ARGV)

    given = [word for number, value in enumerate(NASTY) for word in ("-P", f"k{number}={value}")]
    done = mlp("run", tmp_path, *given)

    assert json.loads(done.stdout) == [word for number, value in enumerate(NASTY) for word in (f"--k{number}", value)]


def test_a_script_is_an_entry_point_and_gets_its_parameters_as_options(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "show.py").write_text("import sys\nprint(sys.argv[1:])\n")

    done = mlp("run", tmp_path, "-e", "sub/show.py", "-P", "alpha=0.5", "-P", "beta=x y")

    assert done.stdout == "['--alpha', '0.5', '--beta', 'x y']\n"


def test_the_command_runs_in_the_project_s_directory_and_the_project_is_not_copied(tmp_path):
    project(tmp_path / "here", "pwd; touch trace")

    done = mlp("run", "here", cwd=tmp_path)

    assert done.stdout == f"{tmp_path / 'here'}\n"
    assert (tmp_path / "here" / "trace").exists()


def test_a_subdirectory_behind_a_hash_is_the_project(tmp_path):
    project(tmp_path / "inner", "pwd")

    assert mlp("run", f"{tmp_path}#inner").stdout == f"{tmp_path / 'inner'}\n"


def test_the_command_reads_our_standard_input(tmp_path):
    assert mlp("run", project(tmp_path, "tr a-z A-Z"), stdin="quiet").stdout == "QUIET"


def test_the_command_s_output_arrives_while_it_runs(tmp_path):
    project(tmp_path, "echo first; read -r line; echo got $line")
    with subprocess.Popen(
        [MLP, "run", str(tmp_path)],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as running:
        readable, _, _ = select.select([running.stdout], [], [], 30)
        assert readable
        assert running.stdout.readline() == b"first\n"
        assert running.communicate(b"go\n", timeout=30)[0] == b"got go\n"


def test_the_environment_is_the_caller_s(tmp_path):
    assert mlp("run", project(tmp_path, 'echo "$FLAVOUR"'), FLAVOUR="bitter sweet").stdout == "bitter sweet\n"


def test_a_shell_script_runs_in_the_caller_s_shell_as_with_mlflow(tmp_path):
    (tmp_path / "which.sh").write_text("echo $0 run\n")
    shell = tmp_path / "shell"
    shell.write_text('#!/bin/sh\necho "my shell runs $1"\n')
    shell.chmod(0o755)

    assert mlp("run", tmp_path, "-e", "which.sh", SHELL=str(shell)).stdout == "my shell runs which.sh\n"


def test_a_relative_path_is_the_caller_s(tmp_path):
    project(tmp_path / "project", "cat {data}", parameters={"data": "path"})
    (tmp_path / "table.csv").write_text("1,2\n")

    done = mlp("run", "project", "-P", "data=table.csv", cwd=tmp_path)

    assert done.stdout == "1,2\n"


def test_a_path_that_is_not_there_is_refused_in_mlflow_s_words_with_where_it_was_looked_for(tmp_path):
    project(tmp_path, "cat {data}", parameters={"data": "path"})

    done = mlp("run", tmp_path, "-P", "data=no.csv", cwd=tmp_path)

    assert done.returncode == 1
    assert "Error: Got value no.csv for parameter data, but no such file or directory was found." in done.stderr
    assert f"looked for in {tmp_path}" in done.stderr


def test_a_remote_path_of_a_scheme_that_nobody_knows_starts_nothing(tmp_path):
    project(tmp_path, "touch started; cat {data}", parameters={"data": "path"})

    done = mlp("run", tmp_path, "-P", "data=tape://archive/1")

    assert done.returncode == 1
    assert "tape" in done.stderr
    assert not (tmp_path / "started").exists()


def test_a_value_that_does_not_fit_its_type_starts_nothing(tmp_path):
    project(tmp_path, "touch started; echo {alpha}", parameters={"alpha": "float"})

    done = mlp("run", tmp_path, "-P", "alpha=much")

    assert done.returncode == 1
    assert "'alpha' got 'much'" in done.stderr
    assert not (tmp_path / "started").exists()


def test_validation_can_be_left_out(tmp_path):
    project(tmp_path, "echo {alpha}", parameters={"alpha": "float"})

    assert mlp("run", tmp_path, "-P", "alpha=much", "--no-param-validation").stdout == "much\n"


def test_a_missing_parameter_and_an_unknown_entry_point_are_named(tmp_path):
    project(tmp_path, "echo {a} {b}", parameters={"a": "string", "b": "string"})

    assert "No value given for missing parameters: 'a', 'b'" in mlp("run", tmp_path).stderr
    assert "Could not find man among entry points ['main']" in mlp("run", tmp_path, "-e", "man").stderr


def test_a_bad_project_file_is_shown_by_line_and_column(tmp_path):
    (tmp_path / "MLproject").write_text("entry_points:\n  main: python train.py\n")

    done = mlp("run", tmp_path)

    assert done.returncode == 1
    assert "Error: MLproject:2:9: " in done.stderr


def test_a_directory_that_is_not_there_is_suggested_another(tmp_path):
    project(tmp_path / "training", "true")

    done = mlp("run", "./trainin", cwd=tmp_path)

    assert done.returncode == 1
    assert "Did you mean 'training'?" in done.stderr


def test_an_empty_directory_is_told_as_such(tmp_path):
    done = mlp("run", ".", cwd=project(tmp_path / "empty"))

    assert done.returncode == 1
    assert done.stderr.endswith("There is no MLproject file and no script in the root of 'empty'.\n")


def test_a_caller_s_directory_that_was_removed_is_told_as_such(tmp_path):
    gone = project(tmp_path / "gone")
    shell = ["bash", "-c", 'rmdir "$PWD"; exec "$0" run .', MLP]

    done = subprocess.run(shell, cwd=gone, env=environment(), capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "The directory that this is called in does not exist any more" in done.stderr


def test_a_version_of_a_directory_without_git_on_this_machine_says_what_to_install(tmp_path):
    (tmp_path / "bin").mkdir()

    done = mlp("run", project(tmp_path / "p", "true"), "-v", "main", PATH=str(tmp_path / "bin"))

    assert done.returncode == 2
    assert done.stderr == "Error: There is no program 'git' on PATH. Install Git 2.31 or newer.\n"


def test_a_full_disk_is_an_error_of_one_line():
    submit = [MLP, "submit", "https://git.example.com/wine.git", "--dry-run=client", "-o", "yaml"]
    with open("/dev/full", "w") as full:  # noqa: PTH123 -- a device
        done = subprocess.run(
            submit, stdout=full, stderr=subprocess.PIPE, env=environment(), text=True, timeout=60, check=False
        )

    assert (done.returncode, done.stderr) == (1, "Error: No space left on device\n")


def test_a_reader_that_went_away_does_not_change_the_exit_status(tmp_path):
    read = f'"$0" run {project(tmp_path, "seq 1000000")} 2>&1 | head -n 3 >/dev/null; exit ${{PIPESTATUS[0]}}'

    done = subprocess.run(["bash", "-c", read, MLP], env=environment(), capture_output=True, timeout=60, check=False)

    assert done.returncode == 141  # 128 + SIGPIPE, which ended the command


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "Missing argument 'URI'"),
        (["run", ".", "-P", "alpha"], "Invalid format for -P parameter: 'alpha'. Use -P name=value."),
        (["run", ".", "-P", "=3"], "Invalid format for -P parameter: '=3'. Use -P name=value."),
        (["run", ".", "-P", "a=1", "-P", "a=2"], "Repeated parameter: 'a'"),
        (["run", ".", "--env-manager", "pip"], "Invalid value for `env_manager`: pip. Must be one of ['local', "),
        (["run", ".", "-A", "=x"], "Use -A name=value, or -A name."),
        (["run", ".", "-A", "gpus=all", "-A", "gpus"], "Repeated parameter: 'gpus'"),
        (["run", ".", "--experiment-name", "a", "--experiment-id", "1"], "Specify only one of 'experiment-name' or"),
        (["run", ".", "--build-image"], "mlp builds no images"),
        (["run", ".", "-b", "slurm"], "Got unsupported execution mode slurm. Supported values: ['databricks', "),
        (["run", ".", "-b", "local", "-m", "kubernetes"], "'mode' is an older name of 'backend'"),
        (["run", ".", "-m", "databricks"], "Backend spec must be provided when launching MLflow project runs on Datab"),
        (["run", ".", "-m", "databricks", "--cluster-spec", '{"serverless": 3}'], "serverless must be true or "),
        (["run", ".", "-m", "databricks", "-c", '{"serverless": true}', "-A", "a=b"], "does not take docker_args"),
        (["run", ".", "--no-wait"], "--no-wait is for -b kubernetes and -b databricks"),
        (["run", ".", "-b", "kubernetes", "-c", "{"], "Invalid backend config JSON. Parse error: "),
        (["run", ".", "-b", "kubernetes", "-c", "no.json"], "no.json cannot be read"),
        (["run", ".", "-b", "kubernetes", "--cluster-spec", '{"namespce": "a"}'], "Did you mean 'namespace'?"),
        (["run", ".", "-b", "kubernetes", "-c", '{"kube-job-template-path": "x"}'], "Could not find 'kube-job-templ"),
        (["run", ".", "-b", "kubernetes", "--run-id", "a"], "The backend kubernetes does not take run_id"),
        (["run", ".", "--env-manager", "conda", "--no-conda"], "--no-conda means --env-manager local"),
        (["run", ".", "--no-such-option"], "No such option"),
    ],
)  # fmt: skip
def test_a_wrong_call_is_a_usage_error_that_says_what_is_right(tmp_path, arguments, message):
    project(tmp_path, "touch started")

    done = mlp(*arguments, cwd=tmp_path)

    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "started").exists()


def test_the_variables_of_docker_env_hold_in_the_current_environment_too(tmp_path):
    docker = {"image": "i", "environment": [["COLOUR", "dark blue"], "COPIED"]}
    project(tmp_path, 'echo "$COLOUR $COPIED"', docker_env=docker)

    assert mlp("run", tmp_path, "--no-conda", COPIED="c").stdout == "dark blue c\n"
    refused = mlp("run", tmp_path, "--no-conda")
    assert refused.returncode == 2
    assert "but COPIED was not set. Please ensure all expected environment variables are set" in refused.stderr


def test_without_bash_the_message_says_so(tmp_path):
    done = mlp("run", project(tmp_path / "p", "true"), PATH=str(tmp_path))

    assert done.returncode == 2
    assert "There is no bash on PATH" in done.stderr


def test_a_directory_is_run_without_a_temporary_one(tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()

    done = mlp("run", project(tmp_path / "p", "ls -A $TMPDIR"), TMPDIR=str(temporary))

    assert done.stdout == ""
    assert done.returncode == 0


def test_nothing_is_left_where_the_user_stands(tmp_path):
    here = tmp_path / "here"
    here.mkdir()

    mlp("run", project(tmp_path / "p", "true"), cwd=here)

    assert not list(here.iterdir())
    assert [entry.name for entry in (tmp_path / "p").iterdir()] == ["MLproject"]


def test_a_configuration_that_nobody_reads_is_named(tmp_path):
    done = mlp("run", project(tmp_path, "echo done"), "-c", "x.json")

    assert (done.returncode, done.stdout) == (0, "done\n")
    assert "Warning: The backend local has no configuration" in done.stderr
