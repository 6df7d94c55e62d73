"""What is recorded of a run, how it lives and ends, and the command line."""

from __future__ import annotations

from typing import Final

from tests.compatibility.row import Row, Table, Verdict, differs, held, same

_RECORDS: Final = "tracking/test_records.py"
_PROVENANCE: Final = "source/test_provenance.py"
_API: Final = "backends/local/test_api.py"
_SIGNALS: Final = "cli/test_run_signals.py"
_RUN: Final = "cli/test_run.py"
_TRACKED: Final = "backends/local/test_tracked_runs.py"
_CONTAINER: Final = "backends/local/test_container.py"
_CONTAINED: Final = "backends/local/test_contained_runs.py"
_HERE: Final = "compatibility/test_runs.py"

TRACKING: Final = Table(
    "T",
    "What is recorded",
    (
        Row(
            "T1",
            "When the run is created",
            "After the project was fetched and parameters were found to be there; other mistakes leave it RUNNING",
            "After everything that can be checked was checked, and before data and environment are brought",
            Verdict.FIXED,
            (
                *held(
                    _TRACKED,
                    "test_a_mistake_of_the_caller_leaves_no_record",
                    "test_data_that_is_not_there_ends_the_run_as_failed",
                ),
                *held(_HERE, "test_a_mistake_of_the_caller_records_no_run"),
            ),
        ),
        Row(
            "T2",
            "Tags at its creation",
            "User, source name and type, entry point; commit, repository and branch where there are; the parent where "
            "the caller has an active run",
            "The same, the project's name, and the backend",
            Verdict.SAME,
            (
                *held(
                    _TRACKED,
                    "test_a_run_is_recorded_with_what_mlflow_records_and_the_raw_values",
                    "test_a_run_that_a_project_starts_has_the_project_s_run_as_its_parent",
                ),
                *held(_HERE, "test_a_run_of_a_repository_is_recorded_with_commit_branch_and_address"),
            ),
        ),
        Row(
            "T3",
            "The source's name",
            "The URI as it was given, quotes and token and all; `file://TOP#PATH` inside a repository; a directory's "
            "path",
            "The same without quotes and credentials",
            Verdict.FIXED,
            held(
                _PROVENANCE,
                "test_a_git_uri_is_recorded_as_given_without_quotes_and_users",
                "test_a_directory_in_a_repository_is_named_by_its_place_there",
                "test_mlflow_records_the_same_of_a_directory",
            ),
        ),
        Row(
            "T4",
            "Tags later",
            "The environment manager; the backend, once that has worked; the image's name and ID",
            "The manager and the image's name before they are provided. The image's ID is the engine's to know",
            Verdict.SAME,
            (
                *held(
                    _TRACKED,
                    "test_a_run_is_recorded_with_what_mlflow_records_and_the_raw_values",
                    "test_an_environment_that_cannot_be_built_ends_the_run_as_failed",
                ),
                *held(_CONTAINED, "test_a_project_runs_in_its_container_and_is_recorded"),
            ),
        ),
        Row(
            "T5",
            "Tags of Databricks",
            "The numbers of the job and of its run, the addresses of the run's page and of the workspace",
            "The same without the job's number, also of a ProjectRun: the page's address leads there",
            Verdict.OTHER,
            (
                *held(
                    "projects/test_on_databricks.py",
                    "test_a_directory_runs_there_with_its_parameters_exact_and_is_recorded",
                ),
                *held("operator/test_delegating.py", "test_mlflow_is_told_of_a_life_on_databricks"),
            ),
        ),
        Row(
            "T6",
            "What is not recorded",
            "Changes that no commit holds, the MLproject file, exit status, logs, the command",
            "Neither, apart from the project's name",
            Verdict.SAME,
            held(_TRACKED, "test_a_run_is_recorded_with_what_mlflow_records_and_the_raw_values"),
        ),
        Row(
            "T7",
            "The run's name",
            "`--run-name`, else a random one",
            "The same",
            Verdict.SAME,
            held(_RECORDS, "test_a_run_has_the_name_that_it_was_given", "test_a_run_without_a_name_gets_one_of_mlflow"),
        ),
        Row(
            "T8",
            "The status at the end",
            "FINISHED or FAILED by the exit status, over whatever the project's own code has set. Interrupted: FAILED",
            "By the exit status, unless the code has set one. Interrupted or cancelled: KILLED",
            Verdict.FIXED,
            (
                *held(
                    _RECORDS,
                    "test_a_state_that_the_projects_code_set_is_kept_whatever_its_exit_code",
                    "test_a_run_ends_with_state_and_time",
                ),
                *held(
                    _TRACKED,
                    "test_a_terminal_status_of_the_project_s_own_code_is_kept",
                    "test_a_command_that_fails_is_failed_and_the_error_has_its_last_lines",
                    "test_a_signal_ends_the_command_line_s_run_as_killed",
                ),
            ),
        ),
        Row(
            "T9",
            "A run that exists",
            "`--run-id` for internal use, honoured by the local backend",
            "`--run-id` continues a run; one that is not there is an error",
            Verdict.SAME,
            (
                *held(
                    _RECORDS,
                    "test_an_existing_run_is_resumed",
                    "test_a_run_that_is_not_there_or_deleted_cannot_be_resumed",
                ),
                *held(_TRACKED, "test_a_run_that_exists_is_continued"),
            ),
        ),
        Row(
            "T10",
            "The experiment",
            "By name (made if absent) or by ID, or by two variables. Inside a project, where one of these is set, a "
            "name on the command line is an error. An unknown ID is a traceback",
            "The same, with what is given before what the variables say. An unknown ID is an error that names it",
            Verdict.FIXED,
            (
                *held(
                    _RECORDS,
                    "test_experiments_are_found_by_name_or_made",
                    "test_without_an_experiment_runs_go_to_the_default_one",
                    "test_experiments_that_cannot_be_used_are_named",
                ),
                *held(_HERE, "test_variables_choose_the_experiment_too_and_options_come_first"),
            ),
        ),
        Row(
            "T11",
            "In the project's code",
            "`start_run()` continues the run; another experiment is an error there",
            "The same",
            Verdict.SAME,
            held(
                _RECORDS,
                "test_the_projects_code_resumes_the_run_and_its_end_is_kept",
                "test_another_experiment_in_the_code_clashes_with_the_run_as_mlflow_says",
            ),
        ),
        Row(
            "T12",
            "The command's variables",
            "All of the caller's, the run's ID, the tracking URI and the experiment's ID; in a container only these, "
            "stores' keys and what the project names",
            "The same, and `MLP_RUN_ID`, by which runs that the project starts find their parent",
            Verdict.SAME,
            (
                *held(_TRACKED, "test_the_command_finds_its_record_by_its_variables"),
                *held(_RUN, "test_the_environment_is_the_caller_s"),
                *held(_CONTAINER, "test_values_arrive_as_they_are_and_nothing_of_them_runs_here"),
            ),
        ),
        Row(
            "T13",
            "Where, if nothing says so",
            "`mlflow.db` in the caller's directory, or `mlruns` where there is one",
            "The same where the mlflow package is installed; else nothing is recorded, which is said. "
            "`MLP_TRACKING=off` switches it off",
            Verdict.SAME,
            (
                *held(
                    "tracking/test_stores.py",
                    "test_without_a_uri_the_store_is_the_one_of_mlflow",
                    "test_without_a_uri_a_directory_with_runs_is_the_store_as_for_mlflow",
                    "test_without_mlflow_tracking_is_off_by_default",
                    "test_tracking_can_be_switched_off",
                ),
            ),
        ),
        Row(
            "T14",
            "Files as a store",
            "Refused unless `MLFLOW_ALLOW_FILE_STORE` is set",
            "The same",
            Verdict.SAME,
            held(
                "tracking/test_stores.py",
                "test_a_directory_of_files_is_refused_with_what_mlflow_wants_for_it",
                "test_a_directory_of_files_is_used_where_it_is_allowed",
            ),
        ),
    ),
)

LIFE: Final = Table(
    "L",
    "Python, and the life of a run",
    (
        Row(
            "L1",
            "`backend_config`",
            "A mapping or the path of a `.json` file; the caller's mapping gains keys",
            "A mapping, which stays as it is, such a path, or JSON",
            Verdict.FIXED,
            held(_HERE, "test_a_backend_configuration_is_a_mapping_json_or_a_file_and_stays_as_it_is"),
        ),
        Row(
            "L2",
            "What `run` returns",
            "An object with `run_id`, `wait`, `get_status`, `cancel`; not for use by several threads",
            "The same, with `logs`; for any thread",
            Verdict.SAME,
            held(_API, "test_a_run_that_is_waited_for_has_finished", "test_runs_can_be_made_in_other_threads"),
        ),
        Row(
            "L3",
            "What `get_status` returns",
            "A word, and a number from Kubernetes",
            "A word",
            Verdict.FIXED,
            held(_API, "test_a_run_in_the_background_is_followed_to_its_end"),
        ),
        Row(
            "L4",
            "Statuses",
            "RUNNING, then FINISHED for 0 and FAILED for anything else; SCHEDULED and KILLED from Kubernetes alone",
            "SCHEDULED while data and environment are brought, RUNNING, FINISHED, FAILED, and KILLED once cancelled",
            Verdict.FIXED,
            held(
                _API,
                "test_a_run_in_the_background_is_followed_to_its_end",
                "test_cancelling_ends_every_process_and_removes_what_was_fetched",
            ),
        ),
        Row(
            "L5",
            "A run that fails, waited for",
            "`ExecutionException` with the run's ID",
            "A kind of `ExecutionException` that begins with the same words, with exit status and last lines",
            Verdict.FIXED,
            (
                *held(_API, "test_a_run_that_fails_raises_its_exit_status"),
                *held(_TRACKED, "test_a_command_that_fails_is_failed_and_the_error_has_its_last_lines"),
            ),
        ),
        Row(
            "L6",
            "A run in the background",
            "Another `mlflow run`, which outlives the caller. Without parameters it crashes and leaves a run RUNNING",
            "In this process, which waits for it at its end, so that its record and its logs are whole",
            Verdict.OTHER,
            (
                *held(_HERE, "test_parameters_may_be_left_out_in_the_background"),
                *held(_API, "test_a_program_that_ends_waits_for_its_runs_in_the_background"),
            ),
        ),
        Row(
            "L7",
            "`cancel`",
            "The processes get SIGTERM; the status is FAILED, the record stays RUNNING",
            "SIGTERM, then SIGKILL for what is left; status and record are KILLED",
            Verdict.FIXED,
            (
                *held(
                    _API,
                    "test_cancelling_ends_every_process_and_removes_what_was_fetched",
                    "test_a_command_that_ignores_sigterm_is_killed_after_its_grace",
                ),
                *held(
                    _TRACKED,
                    "test_a_cancelled_run_is_killed_in_the_store_too",
                    "test_a_run_can_be_cancelled_while_its_data_is_on_the_way",
                ),
                *held(_CONTAINED, "test_cancelling_ends_the_container"),
            ),
        ),
        Row(
            "L8",
            "SIGTERM",
            "Ends `mlflow run` alone: the command goes on, the record stays RUNNING",
            "Passed on to the command; the record gets its end",
            Verdict.FIXED,
            (
                *held(_SIGNALS, "test_another_signal_is_passed_on_and_orphans_nothing"),
                *held(_TRACKED, "test_a_signal_ends_the_command_line_s_run_as_killed"),
            ),
        ),
        Row(
            "L9",
            "Ctrl-C",
            "The command gets SIGTERM, the run is FAILED, exit status 1",
            "The command gets SIGINT with all its processes, the run is KILLED, exit status 130",
            Verdict.FIXED,
            (
                *held(_SIGNALS, "test_ctrl_c_ends_every_process_of_the_command_and_gives_130"),
                *held("compatibility/test_environments.py", "test_an_interrupted_container_is_gone"),
                *held(_TRACKED, "test_a_signal_ends_the_command_line_s_run_as_killed"),
            ),
        ),
        Row(
            "L10",
            "Failures before the command",
            "Leave the run RUNNING for ever",
            "The run is FAILED",
            Verdict.FIXED,
            held(
                _TRACKED,
                "test_an_environment_that_cannot_be_built_ends_the_run_as_failed",
                "test_data_that_is_not_there_ends_the_run_as_failed",
            ),
        ),
        Row(
            "L11",
            "Other backends",
            "Plugins, found by entry point; from the command line never waited for",
            "mlp is such a plugin, and waits: `mlflow run -b mlp`, for a cluster and Databricks too. It takes no "
            "plugins itself",
            Verdict.OTHER,
            (
                *held(
                    "peers/test_plugin.py",
                    "test_mlflow_s_program_waits_and_shows_what_the_run_writes",
                    "test_its_exit_status_tells_of_a_run_that_fails",
                ),
                *held("peers/test_plugin_on_databricks.py", "test_it_gives_one_of_its_runs_and_tags_it"),
            ),
        ),
        Row(
            "L12",
            "An unknown backend",
            "Error, after the project was fetched and a run recorded, which stays RUNNING",
            "The same words, before anything else",
            Verdict.FIXED,
            held(_RUN, "test_a_wrong_call_is_a_usage_error_that_says_what_is_right"),
        ),
    ),
)

COMMAND_LINE: Final = Table(
    "R",
    "The command line",
    (
        Row(
            "R1",
            "`-e`, `-v`, `-P`",
            "Entry point, version, parameters",
            "The same",
            Verdict.SAME,
            (
                *same("a named entry point", "declared before undeclared"),
                *held("cli/test_run_git.py", "test_a_version_is_a_branch_or_a_tag"),
            ),
        ),
        Row(
            "R2",
            "`-A`",
            "`NAME=VALUE` or `NAME` for `docker run`; a single letter is a short option",
            "The same; one that would leave the container behind is refused",
            Verdict.SAME,
            held(
                "backends/local/test_container.py",
                "test_docker_args_are_options_of_docker_run",
                "test_a_container_is_waited_for",
            ),
        ),
        Row(
            "R3",
            "`--experiment-name`, `--experiment-id`, `--run-name`, `--run-id`",
            "As in T7, T9 and T10",
            "The same",
            Verdict.SAME,
            (
                *held(_HERE, "test_experiment_name_and_run_are_chosen_by_options"),
                *held(_RUN, "test_a_wrong_call_is_a_usage_error_that_says_what_is_right"),
            ),
        ),
        Row(
            "R4",
            "`-b`, `-c`",
            "`local`, `databricks`, `kubernetes` or a plugin; a `.json` file or JSON",
            "`local`, `databricks` (D1), and `kubernetes`, which needs neither Docker nor a Job template; no plugins",
            Verdict.OTHER,
            (
                *held(_HERE, "test_a_backend_configuration_is_a_mapping_json_or_a_file_and_stays_as_it_is"),
                *held(_RUN, "test_a_wrong_call_is_a_usage_error_that_says_what_is_right"),
            ),
        ),
        Row(
            "R5",
            "`--env-manager`, `--storage-dir`, `--build-image`",
            "As in E1, P13 and E14; a manager that is none is a traceback",
            "As there; a manager that is none is a usage error",
            Verdict.FIXED,
            held(_RUN, "test_a_wrong_call_is_a_usage_error_that_says_what_is_right"),
        ),
        Row(
            "R6",
            "`--env-file` of the whole program",
            "Reads variables from a file",
            "Not there: a shell does it (`set -a; . FILE`)",
            Verdict.LEFT_OUT,
            held(_HERE, "test_variables_come_from_the_environment_alone"),
        ),
        Row(
            "R7",
            "`-m`, `--cluster-spec`, `--git-username`, `--git-password`, `--no-conda`",
            "Documented once, and gone",
            "There: for `-b`, `-c`, Git's credentials (G14) and `--env-manager local`",
            Verdict.PROMISED,
            (
                *held(_RUN, "test_a_wrong_call_is_a_usage_error_that_says_what_is_right"),
                *held("source/test_given_credentials.py", "test_they_open_a_private_repository"),
            ),
        ),
        Row(
            "R8",
            "Exit status",
            "0; 1 for every failure, the command's own status is lost; 2 for wrong usage; 143 after SIGTERM",
            "0; the command's own, 128 + n after signal n. Where it was not started: 2 for wrong usage, 4 for want of "
            "credentials, 69 for want of its environment, else 1",
            Verdict.FIXED,
            (
                *same("a parameter without a value", "missing parameters", "an unknown entry point"),
                *differs("an exit status", "a command that a signal ends", "a command that is not there"),
                *held(_RUN, "test_the_exit_status_is_the_command_s_own"),
                *held(_HERE, "test_without_an_engine_a_run_in_a_container_says_so"),
            ),
        ),
        Row(
            "R9",
            "Waiting",
            "Local and Kubernetes runs are waited for; Databricks and plugins are not",
            "Every run is waited for, unless `--no-wait` leaves one elsewhere to itself",
            Verdict.FIXED,
            (
                *held(
                    "peers/test_plugin.py",
                    "test_mlflow_s_program_waits_and_shows_what_the_run_writes",
                    "test_its_exit_status_tells_of_a_run_that_fails",
                ),
                *held(
                    "cli/test_run_on_databricks.py",
                    "test_the_output_of_a_command_that_fails_is_printed_and_its_status_is_ours",
                    "test_no_wait_prints_the_run_s_id_and_nothing_else",
                ),
            ),
        ),
        Row(
            "R10",
            "List, status, logs of project runs",
            "None",
            "For runs in a cluster: `mlp list`, `mlp describe`, `mlp logs`, `mlp wait` and others (K27). Runs on this "
            "machine are in the tracking store",
            Verdict.OTHER,
            held(
                "cli/test_runs_in_a_cluster.py",
                "test_runs_are_listed_newest_first_with_the_columns_of_kubectl",
                "test_waiting_tells_how_the_run_goes_and_ends_with_it",
            ),
        ),
    ),
)
