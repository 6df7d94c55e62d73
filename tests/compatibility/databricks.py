"""What MLflow's Databricks backend does, and what `mlp run -b databricks` and a ProjectRun do instead."""

from __future__ import annotations

from typing import Final

from tests.compatibility.row import Row, Table, Verdict, held

_ACCESS: Final = "backends/databricks/test_access.py"
_ARRIVING: Final = "backends/databricks/test_arriving.py"
_BODY: Final = "backends/databricks/test_body.py"
_COMPUTE: Final = "backends/databricks/test_compute.py"
_CONFIGURATION: Final = "backends/databricks/test_configuration.py"
_DELIVERY: Final = "backends/databricks/test_delivery.py"
_FROM_GIT: Final = "backends/databricks/test_git_projects.py"
_RUNTIME: Final = "backends/databricks/test_runtime.py"
_STATES: Final = "backends/databricks/test_states.py"
_SUBMITTED: Final = "backends/databricks/test_submitted.py"
_WORKSPACE: Final = "backends/databricks/test_workspace.py"
_RUN: Final = "cli/test_run_on_databricks.py"
_CALLS: Final = "projects/test_on_databricks.py"
_DELEGATING: Final = "operator/test_delegating.py"

DATABRICKS: Final = Table(
    "D",
    "On Databricks",
    (
        Row(
            "D1",
            "What is checked first",
            "That there is a configuration, that it names no existing cluster, that the tracking store is not local; "
            "that the project has no `docker_env`",
            "The same but for the cluster, which may be an existing one; and all that is checked of a run here: "
            "version, entry point, types, paths",
            Verdict.FIXED,
            (
                *held(_CONFIGURATION, "test_none_at_all_is_told_in_mlflow_s_words"),
                *held(
                    _CALLS,
                    "test_a_tracking_store_of_this_machine_is_refused_in_mlflow_s_words",
                    "test_what_cannot_run_there_is_told_before_anything_is_sent",
                ),
            ),
        ),
        Row(
            "D2",
            "Credentials",
            "Those of the profile that the tracking URI names, else of variables or the default profile",
            "The same, and `profile` and `host` of the configuration; they are sent to their own host alone",
            Verdict.SAME,
            held(
                _ACCESS,
                "test_variables_let_one_in",
                "test_a_profile_lets_one_in",
                "test_a_profiles_credentials_are_for_its_own_host",
                "test_everything_else_is_left_to_the_sdk",
            ),
        ),
        Row(
            "D3",
            "What is uploaded",
            "The whole directory but `mlruns`, with `.git`, `.env` and virtual environments, to the root of DBFS, "
            "which newer workspaces do not have",
            "What Git tracks and what is new and not ignored, or the commit, to the user's home among the workspace's "
            "files, to a volume, or to DBFS if that is named; once for the same content, as with MLflow",
            Verdict.FIXED,
            (
                *held(
                    _DELIVERY,
                    "test_files_lie_where_the_task_says_and_are_named_as_each_side_knows_them",
                    "test_what_is_there_is_not_sent_again",
                ),
                *held(_CALLS, "test_a_project_that_is_too_large_for_the_workspace_s_files_is_told_of_volumes"),
            ),
        ),
        Row(
            "D4",
            "How it is submitted",
            "Jobs API 2.0, with a kind of task that is documented nowhere, and mlflow from an index as a library; a "
            "request that is repeated is another run",
            "Jobs API 2.2, a Python file as the task, and the very mlp that submits; an idempotency token makes every "
            "repetition the same run",
            Verdict.FIXED,
            (
                *held(_BODY, "test_a_packed_project_is_run_by_the_bootstrap_which_is_told_everything"),
                *held(
                    _WORKSPACE,
                    "test_a_submission_that_fails_on_its_way_is_one_run",
                    "test_the_same_token_is_the_same_run",
                ),
                *held(_RUNTIME, "test_it_wants_what_the_installed_distribution_wants_for_running_projects"),
            ),
        ),
        Row(
            "D5",
            "Forms of the configuration",
            "`new_cluster` and `libraries`, or a cluster's fields as they are, to which MLflow adds keys of its own "
            "that Databricks does not know; `cluster_spec`, which the documentation shows, is not understood; other "
            "keys are dropped",
            "All three; nothing of MLflow's own reaches the cluster; a key that there is not is an error",
            Verdict.FIXED,
            (
                *held(
                    _COMPUTE,
                    "test_a_new_cluster_may_be_flat_or_named_or_within_cluster_spec",
                    "test_what_mlflow_adds_for_itself_never_reaches_the_cluster",
                ),
                *held(_CONFIGURATION, "test_a_mistake_is_named_with_the_way_out"),
            ),
        ),
        Row(
            "D6",
            "What runs there",
            "A shell script: it unpacks the project by way of `/dbfs`, and calls the cluster's `mlflow run`",
            "A Python program: it installs mlp beside the cluster's own packages and runs the project as `mlp run` "
            "does. The output is the command's, the failure one line",
            Verdict.OTHER,
            held(
                _ARRIVING,
                "test_parameters_arrive_exactly_and_output_is_what_the_command_wrote",
                "test_a_failing_command_fails_the_run_with_one_line_and_leaves_nothing",
                "test_the_command_has_the_drivers_own_environment_and_python_and_nothing_of_mlps",
            ),
        ),
        Row(
            "D7",
            "Quoting",
            "Entry point and environment manager are quoted twice, so that a name with a space is not found",
            "Everything travels as JSON, and arrives exactly",
            Verdict.FIXED,
            (
                *held(_ARRIVING, "test_parameters_arrive_exactly_and_output_is_what_the_command_wrote"),
                *held(_BODY, "test_databricks_finds_nothing_to_replace_in_an_assignment"),
            ),
        ),
        Row(
            "D8",
            "`databricks_spark_job`",
            "A copy of the Python file with code in front of it; a command is taken apart at its spaces; "
            "`python_libraries` are installed",
            "The file itself, executed within the driver; a command is taken apart as a shell does it; the libraries "
            "as with MLflow",
            Verdict.FIXED,
            (
                *held(
                    _ARRIVING,
                    "test_a_spark_job_runs_within_the_driver",
                    "test_a_spark_job_that_cannot_be_run_is_refused_in_mlflows_words",
                ),
                *held(_FROM_GIT, "test_values_arrive_exactly_as_they_were_quoted"),
                *held(_COMPUTE, "test_a_projects_python_libraries_are_added_once"),
            ),
        ),
        Row(
            "D9",
            "Its state",
            "RUNNING without a result, also for runs that were skipped or that Databricks could not start: for ever; "
            "FAILED for all that is not SUCCESS, also for a run that was cancelled",
            "SCHEDULED, RUNNING, FINISHED, FAILED, KILLED, each when it is true. Words that nobody knows, and a "
            "workspace that is away, are no end; a run that it has forgotten is one",
            Verdict.FIXED,
            (
                *held(
                    _STATES,
                    "test_every_result_is_an_ending_whatever_the_life_cycle_state_is_called",
                    "test_what_nobody_knows_is_no_end",
                ),
                *held(
                    _SUBMITTED, "test_every_other_end_is_told_with_its_reason_and_recorded", "test_an_outage_is_no_end"
                ),
            ),
        ),
        Row(
            "D10",
            "Cancelling",
            "Asks for it, and waits for the end",
            "The same, again and again until that was heard; the run is KILLED. Ctrl-C asks before it cancels",
            Verdict.FIXED,
            (
                *held(
                    _SUBMITTED,
                    "test_a_cancelled_run_has_ended_when_cancel_returns",
                    "test_a_cancel_that_is_not_answered_is_asked_for_again",
                ),
                *held(_RUN, "test_ctrl_c_at_a_terminal_asks_and_yes_cancels"),
            ),
        ),
        Row(
            "D11",
            "What is not used",
            "Existing clusters, serverless compute, volumes, the workspace's own Git, idempotency tokens, another "
            "attempt",
            "All of them are; further attempts are `backoffLimit` of a ProjectRun",
            Verdict.OTHER,
            (
                *held(_CONFIGURATION, "test_an_existing_cluster_and_serverless_compute_are_taken_too"),
                *held(_ARRIVING, "test_projects_run_from_wherever_they_were_uploaded_to_and_on_any_compute"),
                *held(_CALLS, "test_a_repository_may_be_fetched_by_the_workspace_itself"),
                *held(_DELEGATING, "test_a_failure_is_tried_again_under_another_token_as_often_as_asked"),
            ),
        ),
        Row(
            "D12",
            "What may be run",
            "The first documentation: a Git URI, `-m databricks --cluster-spec PATH`, Git credentials by flag. Since: "
            "directories too, and neither of these flags",
            "Git URIs and directories, the older flags and the newer ones. No Git password reaches Databricks",
            Verdict.PROMISED,
            (
                *held(_RUN, "test_the_first_mlflow_s_flags_run_a_private_repository_whose_password_goes_nowhere"),
                *held(_CALLS, "test_a_directory_runs_there_with_its_parameters_exact_and_is_recorded"),
            ),
        ),
        Row(
            "D13",
            "Messages",
            "Of a missing configuration, a local tracking store, a `docker_env`, an existing cluster, a file that "
            "cannot be looked for on DBFS, and six of Spark jobs",
            "The same words, but for those of the cluster, which is taken, and of DBFS: what the workspace says",
            Verdict.OTHER,
            (
                *held(_CONFIGURATION, "test_none_at_all_is_told_in_mlflow_s_words"),
                *held(_CALLS, "test_a_tracking_store_of_this_machine_is_refused_in_mlflow_s_words"),
                *held(_FROM_GIT, "test_a_spark_job_s_other_command_is_refused_in_mlflow_s_words"),
                *held(_DELIVERY, "test_a_file_that_the_workspace_refuses_is_an_error_and_no_run"),
            ),
        ),
    ),
)
