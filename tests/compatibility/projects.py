"""The MLproject file, parameters, and how a command is formed."""

from __future__ import annotations

from typing import Final

from tests.compatibility.row import Row, Table, Verdict, differs, held, same

_FILE: Final = "project/test_project_file.py"
_ENVIRONMENTS: Final = "project/test_environments.py"
_PARAMETERS: Final = "project/test_parameters.py"
_COMMANDS: Final = "project/test_commands.py"
_ENTRY_POINTS: Final = "project/test_entry_points.py"
_PLACES: Final = "backends/local/test_places.py"
_RUN: Final = "cli/test_run.py"
_HERE: Final = "compatibility/test_projects.py"
_WITH_ENVIRONMENTS: Final = "compatibility/test_environments.py"
_RECORDED: Final = "compatibility/test_runs.py"

FILE: Final = Table(
    "F",
    "The MLproject file",
    (
        Row(
            "F1",
            "The file's name",
            "`MLproject` in any case; of several, whichever the directory lists first. `MLproject.yaml` is not read. A "
            "directory of that name crashes it",
            "The same names. Of several, `MLproject` counts, and the others are named. That `MLproject.yaml` is not "
            "read is said. A directory of that name is no file",
            Verdict.FIXED,
            (
                *same("mlproject in small letters", "MLproject.yaml is not read"),
                *differs("a directory called mlproject"),
                *held(
                    _FILE,
                    "test_the_file_is_found_in_any_case",
                    "test_of_two_files_the_usual_spelling_counts_and_the_other_is_named",
                    "test_a_file_with_an_ending_is_ignored_and_that_is_said",
                ),
            ),
        ),
        Row(
            "F2",
            "No file",
            "Any directory or repository is a project",
            "The same",
            Verdict.SAME,
            (
                *same("a script of python", "no main without a file"),
                *held(_ENTRY_POINTS, "test_a_script_is_run_by_its_path_with_or_without_a_project_file"),
            ),
        ),
        Row(
            "F3",
            "Unknown keys",
            "Ignored, whatever they are",
            "Ignored with a warning; an error where a known key was probably meant",
            Verdict.FIXED,
            (
                *same("unknown keys"),
                *differs("a misspelt key"),
                *held(_FILE, "test_what_mlflow_ignores_is_ignored_with_a_warning"),
            ),
        ),
        Row(
            "F4",
            "A malformed file",
            "Most mistakes end in a traceback about Python objects; an entry point without a command is noticed when "
            "it runs",
            "Every mistake is told with file, line and column, before anything starts; `mlp validate` tells all at "
            "once. An empty command is a mistake",
            Verdict.FIXED,
            (
                *same(*(f"malformed: {text!r}" for text in ("", "- a", "a: b: c", "entry_points:"))),
                *differs("an empty command"),
                *held(_FILE, "test_a_file_that_cannot_be_understood_is_refused_with_the_place_and_the_reason"),
                *held("project/test_checks.py", "test_all_mistakes_are_found_at_once_in_the_order_of_the_file"),
            ),
        ),
        Row(
            "F5",
            "`name`",
            "Optional. Without one a project has no name, though the documentation says that it is the directory's",
            "Optional; the directory's name, or the repository's",
            Verdict.PROMISED,
            (*same("a name that is a number"), *held(_FILE, "test_the_name_is_as_written_or_the_directory_s")),
        ),
        Row(
            "F6",
            "`conda_env`",
            "A path from the project's directory, which has to exist; it may lead out of the project",
            "The same, without leading out: a project is what is in its directory",
            Verdict.FIXED,
            (
                *same("a conda_env", "a conda_env that is missing", "a null conda_env"),
                *differs("an environment file outside the project"),
            ),
        ),
        Row(
            "F7",
            "`python_env`",
            "The same for a file with Python's version and pip's requirements",
            "The same",
            Verdict.SAME,
            (
                *same("a python_env that is missing"),
                *held(_ENVIRONMENTS, "test_the_environment_is_what_the_file_names_or_the_conventions_give"),
            ),
        ),
        Row(
            "F8",
            "`docker_env`",
            "Image, volumes, and variables as names to copy or pairs to set. An empty one counts as none, and the "
            "command runs without a container",
            "The same keys and messages; an empty one is an error",
            Verdict.FIXED,
            (
                *same("docker_env without an image", "wrong volumes", "wrong variables"),
                *differs("docker_env that is empty"),
                *held(_ENVIRONMENTS, "test_an_environment_that_cannot_be_meant_is_refused"),
            ),
        ),
        Row(
            "F9",
            "uv",
            "No key of its own: `uv_env` is ignored. A `uv.lock` beside python_env is installed by `--env-manager uv` "
            "instead of the requirements",
            "No key either, with a warning. What the python_env file says is what is installed; a lock file does not "
            "replace it, because a run should not depend on a file that the project does not name",
            Verdict.OTHER,
            (
                *held(_FILE, "test_what_mlflow_ignores_is_ignored_with_a_warning"),
                *held(_WITH_ENVIRONMENTS, "test_a_lock_file_of_uv_changes_nothing"),
            ),
        ),
        Row(
            "F10",
            "`databricks_spark_job`",
            "For Databricks alone; excludes environments, and entry points beside its file",
            "Read and checked by the same rules, with the same messages, and run there (D8). An empty one is none",
            Verdict.SAME,
            (
                *same("a spark job and an environment", "a spark job without anything"),
                *held(
                    _ENVIRONMENTS,
                    "test_a_spark_job_is_kept_as_it_is",
                    "test_a_spark_job_that_contradicts_the_rest_is_refused",
                ),
            ),
        ),
        Row(
            "F11",
            "Two environments",
            "Error that lists them, in no fixed order",
            "The same words, in the order of the file",
            Verdict.SAME,
            (
                *same("two environments"),
                *held(_ENVIRONMENTS, "test_an_environment_that_cannot_be_meant_is_refused"),
            ),
        ),
        Row(
            "F12",
            "No environment named",
            "`python_env.yaml`, else `conda.yaml`, else an empty virtualenv of the caller's Python",
            "The same files. With neither, the current environment: an empty one lacks what the command needs",
            Verdict.OTHER,
            (
                *same("a conda.yaml by convention"),
                *held(_ENVIRONMENTS, "test_the_environment_is_what_the_file_names_or_the_conventions_give"),
                *held(_RUN, "test_the_command_s_output_is_its_own_and_ours_goes_to_stderr"),
            ),
        ),
        Row(
            "F13",
            "Keys of an entry point",
            "`parameters` and `command`; others are ignored",
            "The same, with a warning for others",
            Verdict.SAME,
            held(
                _FILE,
                "test_entry_points_keep_the_order_of_the_file",
                "test_what_mlflow_ignores_is_ignored_with_a_warning",
            ),
        ),
        Row(
            "F14",
            "R",
            "Files that end in `.R` are entry points, run by R's mlflow package",
            "The same command line",
            Verdict.SAME,
            (
                *same("a script of R"),
                *held(_ENTRY_POINTS, "test_a_script_is_run_by_its_path_with_or_without_a_project_file"),
            ),
        ),
    ),
)

PARAMETERS: Final = Table(
    "P",
    "Parameters",
    (
        Row(
            "P1",
            "`name: type`",
            "A type, and no default",
            "The same",
            Verdict.SAME,
            held(_PARAMETERS, "test_without_a_default_a_value_has_to_be_given"),
        ),
        Row(
            "P2",
            "`{type, default}`",
            "`string` unless a type is given; a null default is none",
            "The same",
            Verdict.SAME,
            same("null is no default", "a type alone in the long form", "an empty declaration", "default yes"),
        ),
        Row(
            "P3",
            "Defaults that are false, zero or empty",
            "Defaults like any other, as Python prints what YAML 1.1 makes of them (`010` is 8, `1:30` is 90)",
            "The same text",
            Verdict.SAME,
            (
                *same("default 0", "default False", "default ''", "default 010", "default 1:30"),
                *held(_PARAMETERS, "test_a_default_is_python_s_text_of_the_yaml_value"),
            ),
        ),
        Row(
            "P4",
            "`name:` with nothing behind it",
            "Crash",
            "Error with its place",
            Verdict.FIXED,
            (
                *same("malformed: 'entry_points: {main: {parameters: {a: }, command: ./record}}'"),
                *held(_FILE, "test_a_file_that_cannot_be_understood_is_refused_with_the_place_and_the_reason"),
            ),
        ),
        Row(
            "P5",
            "`string`",
            "Any text",
            "The same",
            Verdict.SAME,
            (
                *same("declared, quotes", "declared, dollar", "declared, newline", "declared, unicode"),
                *held(_RUN, "test_declared_parameters_arrive_exactly"),
            ),
        ),
        Row(
            "P6",
            "`float`",
            "Any text is passed on, though the documentation promises a check",
            "Has to be a number, before anything starts. `--no-param-validation` passes on what is not",
            Verdict.PROMISED,
            (
                *same("float 0.5", "float nan"),
                *differs("a float that is none", "a default that does not fit"),
                *held(_RUN, "test_validation_can_be_left_out"),
            ),
        ),
        Row(
            "P7",
            "Other types",
            "Whatever the name, taken for `string`",
            "`int` and `bool` are checked. Any other name is an error: a misspelt type would be silent",
            Verdict.PROMISED,
            (
                *same("int", "bool"),
                *differs("an int that is none", "a bool that is none", "a type that is none"),
                *held(_PARAMETERS, "test_an_unknown_type_is_refused_with_the_one_that_was_probably_meant"),
            ),
        ),
        Row(
            "P8",
            "`path`, relative",
            "Made absolute from the caller's directory, a default of the file too",
            "The same. A default that is not there is looked for in the project, which is what its author means",
            Verdict.FIXED,
            (
                *same("a path from the caller's directory", "a default path from the caller's directory"),
                *differs("a default path from the project's directory"),
                *held(_PLACES, "test_a_default_that_is_in_both_places_is_the_caller_s_with_a_warning"),
            ),
        ),
        Row(
            "P9",
            "`path`, `file:` URI",
            "Its path",
            "The same; one that names another host is refused",
            Verdict.SAME,
            (
                *same("a file URI as a path"),
                *held(_PLACES, "test_a_file_uri_is_its_path"),
            ),
        ),
        Row(
            "P10",
            "`path`, missing",
            "Error after the run was recorded, which stays RUNNING",
            "The same words, with where it was looked for, before a run is recorded",
            Verdict.FIXED,
            (
                *same("a path that is missing"),
                *held(_RUN, "test_a_path_that_is_not_there_is_refused_in_mlflow_s_words_with_where_it_was_looked_for"),
                *held(_RECORDED, "test_a_mistake_of_the_caller_records_no_run"),
            ),
        ),
        Row(
            "P11",
            "`path`, on another machine",
            "Downloaded for every scheme that an artifact store has. A plain `http://` address is taken for a "
            "tracking server, and crashes",
            "Downloaded, with what arrives checked and broken connections resumed. A plain `http://` address is a "
            "file. Schemes without a client of ours go through fsspec",
            Verdict.FIXED,
            (
                *held(_HERE, "test_a_remote_path_is_downloaded_and_gone_afterwards"),
                *held(_RUN, "test_a_remote_path_of_a_scheme_that_nobody_knows_starts_nothing"),
                *held("data/test_http.py", "test_a_broken_connection_is_taken_up_where_it_broke"),
                *held("data/test_s3.py", "test_a_flipped_byte_of_a_large_object_is_always_noticed"),
                *held("data/test_artifacts.py", "test_artifacts_of_a_run_arrive_by_its_id"),
                *held("data/test_other_schemes.py", "test_files_and_directories_come_through_fsspec"),
            ),
        ),
        Row(
            "P12",
            "Where downloads go",
            "A directory for each parameter, named by its number",
            "A directory for each parameter, named by the parameter; the file keeps its name",
            Verdict.OTHER,
            held(_HERE, "test_a_remote_path_is_downloaded_and_gone_afterwards"),
        ),
        Row(
            "P13",
            "`--storage-dir`",
            "A new directory in it for every run, which stays. Without the option one in the temporary directory, "
            "which stays too",
            "The same with the option. Without it the directory goes when the run has ended",
            Verdict.FIXED,
            held(
                _HERE,
                "test_downloads_stay_where_a_directory_for_them_was_named",
                "test_a_remote_path_is_downloaded_and_gone_afterwards",
            ),
        ),
        Row(
            "P14",
            "`uri`, relative",
            "Error, as for every local path, though the documentation promises an absolute path",
            "The absolute path, which need not exist",
            Verdict.PROMISED,
            (*same("uri s3://bucket/key", "uri file:/x"), *differs("a relative uri", "an absolute path as a uri")),
        ),
        Row(
            "P15",
            "Missing parameters",
            "All in one error, before the run is recorded",
            "The same words",
            Verdict.SAME,
            (
                *same("missing parameters"),
                *held(_PARAMETERS, "test_all_missing_parameters_are_named_at_once_in_the_order_of_their_declaration"),
                *held(_RECORDED, "test_a_mistake_of_the_caller_records_no_run"),
            ),
        ),
        Row(
            "P16",
            "Undeclared parameters",
            "Appended as `--name value`, both quoted, in the order given. A name that needs quoting then crashes in "
            "tracking and leaves the run RUNNING",
            "The same command line. Tracking gets the name itself, or a warning where it takes no such name",
            Verdict.FIXED,
            (
                *same(
                    "undeclared, spaces",
                    "undeclared, quotes",
                    "120 undeclared parameters",
                    "declared before undeclared",
                ),
                *differs("an undeclared name with shell syntax"),
                *held("tracking/test_records.py", "test_names_that_mlflow_refuses_are_left_out_with_a_warning_each"),
            ),
        ),
        Row(
            "P17",
            "Flags, lists, None",
            "No form of their own: `--flag True`, `'[1, 2]'`, `None`",
            "The same; from Python each value becomes its text",
            Verdict.SAME,
            (
                *same("default None", "default [1, 2]"),
                *held("backends/local/test_api.py", "test_values_that_are_no_text_become_text"),
            ),
        ),
        Row(
            "P18",
            "Upper and lower case",
            "Names differ by case",
            "The same",
            Verdict.SAME,
            (*same("names differ by case"), *held(_PARAMETERS, "test_names_differ_by_case")),
        ),
        Row(
            "P19",
            "`-P`",
            "Split at the first `=`; without one, or repeated, a usage error",
            "The same words and exit status",
            Verdict.SAME,
            (
                *same("a parameter without a value", "a parameter twice", "declared, equals"),
                *held(
                    "cli/test_parameters.py",
                    "test_the_first_equals_sign_ends_the_name",
                    "test_a_parameter_without_an_equals_sign_is_refused_in_mlflow_s_words",
                    "test_a_repeated_parameter_is_refused_in_mlflow_s_words",
                ),
            ),
        ),
        Row(
            "P20",
            "Values in tracking",
            "With the quotes of the shell; over 6,000 characters cut without a word",
            "As they were given; cut with a mark and a warning; secret ones masked",
            Verdict.FIXED,
            held(
                "tracking/test_records.py",
                "test_parameters_are_recorded_as_they_were_given",
                "test_a_long_value_is_cut_with_a_marker_and_a_warning",
                "test_secrets_are_masked_wherever_they_stand",
            ),
        ),
    ),
)

COMMANDS: Final = Table(
    "C",
    "The command",
    (
        Row(
            "C1",
            "Placeholders",
            "Declared parameters, each quoted. One that is not declared crashes it, given or not",
            "The same; an error that names the placeholder",
            Verdict.SAME,
            (
                *same("a placeholder twice", "an undeclared placeholder"),
                *held(_COMMANDS, "test_a_command_that_cannot_be_filled_is_refused_with_the_reason"),
            ),
        ),
        Row(
            "C2",
            "Format strings",
            "All that Python has: doubled braces, widths, conversions, attributes and items of the quoted text. "
            "Mistakes crash it",
            "The same without attributes and items: a part of a quoted text need not be quoted. A parameter may have "
            "a dot in its name. Mistakes are explained",
            Verdict.FIXED,
            (
                *same(
                    "doubled braces", "format specifications", "braces of awk", "an empty placeholder", "a lone brace"
                ),
                *same("a number's format for a text"),
                *differs("an attribute in a placeholder", "a character in a placeholder", "a dotted name"),
            ),
        ),
        Row(
            "C3",
            "The author's own quotes",
            "Stand around a value that is quoted already",
            "The same",
            Verdict.SAME,
            same("the author's quotes"),
        ),
        Row(
            "C4",
            "Parameters behind a command in a YAML block",
            "Go to the next line, which is a command of its own, and the run fails",
            "Stay on the command's line",
            Verdict.FIXED,
            (
                *differs("extras behind a block"),
                *held(_COMMANDS, "test_extras_stay_on_the_line_of_a_command_in_a_block"),
            ),
        ),
        Row(
            "C5",
            "How it is run",
            "`bash -c`, in the project's directory, with neither `-e` nor `pipefail`",
            "The same",
            Verdict.SAME,
            (
                *same("a line that fails before the last", "a pipe that fails before its end", "shell syntax"),
                *same("the project's directory is the working directory"),
            ),
        ),
        Row(
            "C6",
            "Environments",
            "Activated in front of the command, joined by `&&`. In a container the host's shell gets the command",
            "Activated on a line of its own, so that the command's meaning does not change; if that fails, nothing "
            "runs. In a container only the container's shell gets the command",
            Verdict.FIXED,
            (
                *held(_WITH_ENVIRONMENTS, "test_an_environment_is_active_for_every_line_of_a_command"),
                *held("backends/local/test_container.py", "test_a_command_is_one_argument_whatever_it_holds"),
            ),
        ),
        Row(
            "C7",
            "Files as entry points",
            "`.py`, `.sh` (with the caller's `$SHELL`) and `.R`, with or without an MLproject; a missing file is "
            "bash's affair. Files outside the project run",
            "The same commands. A missing file is an error with the name that was probably meant; files outside the "
            "project are refused; names with braces or a leading dash work",
            Verdict.FIXED,
            (
                *same("a script of python", "a script of a shell", "a script beside an MLproject"),
                *same("a script in a directory with a blank in its name", "a script that is missing"),
                *differs("a script outside the project", "a script whose name has braces"),
                *differs("a script whose name begins with a dash"),
                *held(_RUN, "test_a_shell_script_runs_in_the_caller_s_shell_as_with_mlflow"),
            ),
        ),
        Row(
            "C8",
            "Unknown entry points",
            "Error with the names that there are",
            "The same words, and what was probably meant",
            Verdict.SAME,
            (
                *same("an unknown entry point", "a notebook", "no main without a file"),
                *held(_ENTRY_POINTS, "test_without_anything_to_advise_the_message_is_mlflow_s"),
            ),
        ),
        Row(
            "C9",
            "The default entry point",
            "`main`; a declared name comes before a file",
            "The same",
            Verdict.SAME,
            same("main of two", "a named entry point", "a declared name that looks like a script"),
        ),
        Row(
            "C11",
            "What is said when it starts",
            "A line with the command, values and all, and the run's ID",
            "The same line; secret values are masked",
            Verdict.SAME,
            held(_RUN, "test_the_command_s_output_is_its_own_and_ours_goes_to_stderr"),
        ),
    ),
)
