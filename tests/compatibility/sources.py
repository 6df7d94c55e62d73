"""Where a project comes from, and the environment that its commands run in."""

from __future__ import annotations

from typing import Final

from tests.compatibility.row import Row, Table, Verdict, held, same

_LOCATIONS: Final = "source/test_locations.py"
_VERSIONS: Final = "source/test_versions.py"
_PROVENANCE: Final = "source/test_provenance.py"
_GIT: Final = "cli/test_run_git.py"
_RUN: Final = "cli/test_run.py"
_HERE: Final = "compatibility/test_projects.py"
_GIVEN_CREDENTIALS: Final = "source/test_given_credentials.py"
_LAPTOP: Final = "source/test_on_a_laptop.py"
_ARCHIVES: Final = "source/test_archives.py"
_ENVIRONMENTS: Final = "compatibility/test_environments.py"
_HASH: Final = "environment/test_hash.py"
_PYTHON_FILES: Final = "environment/test_python_files.py"
_CONTAINER: Final = "backends/local/test_container.py"

SOURCES: Final = Table(
    "G",
    "Project URIs, Git and the working directory",
    (
        Row(
            "G1",
            "What a URI may be",
            "A directory, `file:` of one, a zip archive here or on the web (without credentials, held in memory), "
            "and for Git whatever else",
            "The same, archives of any size by way of the disk. What names a Git remote helper, or begins with a "
            "dash, is refused: it would run programs",
            Verdict.FIXED,
            (
                *held(
                    _LOCATIONS,
                    "test_a_git_uri_is_split_into_repository_and_subdirectory",
                    "test_what_cannot_name_a_project_elsewhere_is_refused",
                    "test_a_directory_of_this_machine_is_used_in_place",
                ),
                *held(_HERE, "test_a_zip_archive_is_a_project"),
                *held(
                    _ARCHIVES,
                    "TestHostileArchives::test_a_name_that_leads_out_is_refused_in_mlflows_words",
                    "TestDownload::test_given_credentials_open_it_and_are_for_its_own_host",
                ),
            ),
        ),
        Row(
            "G2",
            "A mistyped directory",
            "Given to Git, whose traceback speaks of repositories",
            "An error that says so, with the name that was probably meant",
            Verdict.FIXED,
            held(_RUN, "test_a_directory_that_is_not_there_is_suggested_another"),
        ),
        Row(
            "G3",
            "`#subdirectory`",
            "Behind any URI, quotes around the whole allowed; any dot in it is an error",
            "The same; only `..` is an error, so that `#my.project` can be",
            Verdict.FIXED,
            (
                *held(
                    _LOCATIONS,
                    "test_a_git_uri_is_split_into_repository_and_subdirectory",
                    "test_a_missing_subdirectory_is_told_in_mlflows_words",
                ),
                *held(_RUN, "test_a_subdirectory_behind_a_hash_is_the_project"),
                *held(_HERE, "test_a_subdirectory_may_have_a_dot_and_the_uri_quotes"),
            ),
        ),
        Row(
            "G4",
            "`#/subdirectory`",
            "Replaces the repository: `#/etc` is `/etc`",
            "An error with the right way to write it; links that lead out are refused too",
            Verdict.FIXED,
            (
                *held(_LAPTOP, "TestUris::test_a_subdirectory_never_leads_out"),
                *held(_LOCATIONS, "test_a_link_that_leads_out_of_the_project_is_no_subdirectory"),
            ),
        ),
        Row(
            "G5",
            "Working directory, Git",
            "A clone in a new temporary directory, which stays for ever",
            "The same, which goes when the run has ended, however it ends",
            Verdict.FIXED,
            held(
                _GIT,
                "test_a_repository_is_fetched_into_a_directory_that_goes_away",
                "test_the_directory_goes_away_however_the_command_ends",
            ),
        ),
        Row(
            "G6",
            "Working directory, directory",
            "The project's own directory, not a copy",
            "The same",
            Verdict.SAME,
            (
                *same("the project's directory is the working directory"),
                *held(_RUN, "test_the_command_runs_in_the_project_s_directory_and_the_project_is_not_copied"),
            ),
        ),
        Row(
            "G7",
            "`--version`",
            "A branch, a tag or a whole commit ID; a short one fails",
            "Short ones too. What is both a branch and a tag is an error that says how to name either",
            Verdict.FIXED,
            (
                *held(
                    _GIT,
                    "test_a_version_is_a_branch_or_a_tag",
                    "test_a_version_is_a_full_or_short_commit",
                    "test_an_unknown_version_is_named",
                ),
                *held(_VERSIONS, "test_a_name_that_is_both_branch_and_tag_is_refused_with_the_way_out"),
            ),
        ),
        Row(
            "G8",
            "No version",
            "The remote's default branch, read out of Git's messages, in English only; failures are tracebacks",
            "The remote's default branch, asked for in one request; failures are told with the way out",
            Verdict.FIXED,
            (
                *held(
                    _VERSIONS,
                    "test_no_version_is_the_remotes_head",
                    "test_the_remotes_head_need_not_be_called_main",
                    "test_an_empty_repository_is_told_as_such",
                ),
                *held("source/test_diagnosis.py", "test_an_error_of_git_becomes_one_of_ours"),
            ),
        ),
        Row(
            "G9",
            "A version of one's own work tree",
            "Checked out in that work tree, which also gets a remote",
            "Cloned away from it; the work tree stays as it is",
            Verdict.FIXED,
            (
                *held(
                    _GIT,
                    "test_a_version_of_a_work_tree_leaves_the_tree_as_it_is",
                    "test_a_version_of_a_subdirectory_of_a_work_tree_is_of_that_subdirectory",
                ),
                *held(_LAPTOP, "TestAVersionOfOnesOwnWorkTree::test_nothing_in_it_changes"),
            ),
        ),
        Row(
            "G10",
            "A version of a directory without Git, or of an archive",
            "Error",
            "The same words",
            Verdict.SAME,
            (
                *held(_GIT, "test_a_version_of_a_directory_that_is_in_no_repository_is_refused_in_mlflow_s_words"),
                *held(_ARCHIVES, "TestLocation::test_a_version_of_one_is_refused_in_mlflows_words"),
            ),
        ),
        Row(
            "G11",
            "`file:` URIs",
            "A directory in place; a bare repository is taken for an empty project. The recorded source is garbled",
            "The same directory; a bare repository is cloned; the source is recorded as it is",
            Verdict.FIXED,
            (
                *held(_LOCATIONS, "test_a_bare_repository_of_this_machine_is_cloned"),
                *held(
                    _PROVENANCE,
                    "test_a_directory_in_no_repository_is_named_by_its_path",
                    "test_a_bare_repository_is_named_by_its_address",
                ),
            ),
        ),
        Row(
            "G12",
            "Submodules",
            "Always fetched, recursively",
            "The same; credentials for one host are not sent to another",
            Verdict.SAME,
            (
                *held(
                    "source/test_fetching.py",
                    "TestSubmodules::test_they_are_brought_at_their_commit_and_shallow",
                    "TestSubmodules::test_relative_addresses_and_nested_ones_are_followed",
                ),
                *held(
                    _GIVEN_CREDENTIALS,
                    "TestOtherHosts::test_a_submodule_of_another_host_is_brought_as_the_user_would",
                ),
            ),
        ),
        Row(
            "G13",
            "Large files, parts",
            "Git LFS where the user has set it up, else pointers in place of files without a word. Always a whole "
            "commit",
            "Contents are fetched, or it is an error that names git-lfs. Of a subdirectory only its files are brought",
            Verdict.FIXED,
            (
                *held(
                    "source/test_large_files.py",
                    "test_contents_are_brought_by_the_same_access",
                    "test_a_machine_without_the_client_is_told_what_to_install",
                ),
                *held("source/test_fetching.py", "test_a_subdirectory_brings_only_its_cone_and_few_bytes"),
            ),
        ),
        Row(
            "G14",
            "Credentials for Git",
            "`--git-username`, `--git-password` and their variables are documented and gone. A token in the URL works, "
            "and is shown in the log and in the recorded source",
            "The options and variables, for the URL's host alone, beside the user's own helpers and keys. A token in "
            "the URL is refused, because it would be shown",
            Verdict.PROMISED,
            (
                *held(
                    _GIVEN_CREDENTIALS,
                    "test_they_open_a_private_repository",
                    "test_they_show_up_nowhere",
                ),
                *held(_GIT, "test_credentials_in_a_uri_are_refused_and_not_shown"),
                *held(_PROVENANCE, "test_credentials_are_never_recorded"),
            ),
        ),
        Row(
            "G15",
            "A project that an earlier run used (`runs:/…`)",
            "Not possible",
            "Not possible either: an error that says what can be",
            Verdict.SAME,
            held(_LAPTOP, "TestUris::test_a_run_is_no_project"),
        ),
        Row(
            "G16",
            "A directory that its repository ignores",
            "No commit is recorded",
            "The same",
            Verdict.SAME,
            held(_PROVENANCE, "test_what_no_commit_holds_has_none", "test_mlflow_records_the_same_of_a_directory"),
        ),
    ),
)

ENVIRONMENTS: Final = Table(
    "E",
    "Environments",
    (
        Row(
            "E1",
            "`--env-manager`",
            "`local`, `virtualenv`, `uv`, `conda`; without it what the project declares decides. Python comes from "
            "pyenv, which has to be there",
            "The same names and messages. Conda packages are installed by rattler, pip's by uv; neither conda nor "
            "pyenv is needed",
            Verdict.FIXED,
            (
                *held(_RUN, "test_a_wrong_call_is_a_usage_error_that_says_what_is_right"),
                *held(
                    _ENVIRONMENTS,
                    "test_what_the_project_declares_decides_unless_a_manager_is_named",
                    "test_conda_packages_are_installed_without_conda",
                    "test_no_conda_and_no_pyenv_is_called",
                ),
            ),
        ),
        Row(
            "E2",
            "`--no-conda`",
            "Documented and gone",
            "The same as `--env-manager local`",
            Verdict.PROMISED,
            held(_RUN, "test_the_variables_of_docker_env_hold_in_the_current_environment_too"),
        ),
        Row(
            "E3",
            "A manager that does not fit",
            "python_env with conda is an error, after the run was recorded. conda_env with virtualenv or uv installs "
            "pip's part and warns of the rest",
            "The same words, before a run is recorded; the same part and warning",
            Verdict.FIXED,
            (
                *held(_ENVIRONMENTS, "test_a_python_environment_cannot_be_built_by_conda"),
                *held(_PYTHON_FILES, "test_without_conda_a_conda_file_is_its_pip_section"),
            ),
        ),
        Row(
            "E4",
            "`docker_env` and a manager",
            "Every manager is ignored",
            "So are those that build. `local` runs the command without a container, with the project's variables: "
            "there is no other way to do without one",
            Verdict.OTHER,
            (
                *held(_ENVIRONMENTS, "test_a_manager_does_not_replace_a_container"),
                *held(_RUN, "test_the_variables_of_docker_env_hold_in_the_current_environment_too"),
            ),
        ),
        Row(
            "E5",
            "What names a conda environment",
            "A hash of the file's text: a comment makes another one",
            "A hash of what is asked for: neither comments nor the order of keys matter, the platform and the "
            "contents of requirements files do",
            Verdict.FIXED,
            held(
                _HASH,
                "test_what_is_only_written_differently_makes_no_difference",
                "test_what_may_install_something_else_makes_a_difference",
            ),
        ),
        Row(
            "E6",
            "Which conda",
            "`MLFLOW_CONDA_HOME`, `CONDA_EXE`, PATH; `MLFLOW_CONDA_CREATE_ENV_CMD` for another program",
            "None: the variables mean nothing, as no conda program is called",
            Verdict.OTHER,
            held(_ENVIRONMENTS, "test_no_conda_and_no_pyenv_is_called"),
        ),
        Row(
            "E7",
            "virtualenv",
            "In `MLFLOW_ENV_ROOT`, with a Python that pyenv compiles",
            "In `MLP_ENV_ROOT`, with a Python of this machine or a conda channel",
            Verdict.OTHER,
            (
                *held(_ENVIRONMENTS, "test_no_conda_and_no_pyenv_is_called"),
                *held(
                    "environment/test_building.py",
                    "test_interpreters_of_pyenv_count_as_this_machines",
                    "test_an_interpreter_that_this_machine_lacks_comes_from_a_conda_channel",
                ),
            ),
        ),
        Row(
            "E8",
            "uv",
            "Shares environments with virtualenv by name, whichever built them",
            "Both names mean one and the same way of building",
            Verdict.FIXED,
            held(_PYTHON_FILES, "test_managers_that_build_the_same_share_an_environment"),
        ),
        Row(
            "E9",
            "Requirements files",
            "The contents of those that python_env names are in the hash, of those that conda.yaml names not",
            "Of both",
            Verdict.FIXED,
            held(_HASH, "test_the_content_of_requirements_files_counts_and_their_names_do_not"),
        ),
        Row(
            "E10",
            "Two first runs at once, interrupted builds",
            "A directory that exists is believed in: the second run fails, and a half-built one stays. Nothing is "
            "ever removed",
            "One builds and the other waits; a build counts once it is whole; `mlp env prune` removes",
            Verdict.FIXED,
            (
                *held("environment/test_concurrency.py", "test_8_first_runs_at_once_build_once"),
                *held(
                    "environment/test_killing.py",
                    "test_20_kills_at_any_moment_never_leave_an_environment_that_is_wrong",
                ),
                *held("environment/test_collection.py", "test_what_was_not_used_for_long_goes"),
            ),
        ),
        Row(
            "E11",
            "mlflow in the environment",
            "Has to be there if the code imports it; it is not added",
            "The same",
            Verdict.SAME,
            held(_ENVIRONMENTS, "test_nothing_is_added_to_what_a_project_asks_for"),
        ),
        Row(
            "E12",
            "A malformed python_env file",
            "Traceback; `python: 3.10` is a number",
            "Error with file and line that shows how to write it",
            Verdict.FIXED,
            (
                *held(_PYTHON_FILES, "test_a_mistake_is_told_with_its_place"),
                *held(_ENVIRONMENTS, "test_a_malformed_environment_file_is_told_with_its_place"),
            ),
        ),
        Row(
            "E13",
            "Runs that a project starts",
            "Do not inherit the manager",
            "Inherit it, by `MLP_ENV_MANAGER`",
            Verdict.FIXED,
            held(_ENVIRONMENTS, "test_a_manager_is_inherited_by_the_runs_that_a_project_starts"),
        ),
        Row(
            "E14",
            "The project in its container",
            "Not there unless `--build-image` copies all of its directory into an image, which needs a name",
            "Mounted where such an image has it, as the working directory. No image is built: `--build-image` is "
            "refused, and a project needs no name",
            Verdict.FIXED,
            (
                *held(
                    _CONTAINER,
                    "test_a_command_runs_in_the_project_inside_the_container",
                    "test_what_a_container_writes_belongs_to_the_caller",
                ),
                *held(_RUN, "test_a_wrong_call_is_a_usage_error_that_says_what_is_right"),
                *held("backends/local/test_contained_runs.py", "test_a_project_runs_in_its_container_and_is_recorded"),
            ),
        ),
        Row(
            "E15",
            "The container's command line",
            "A text for the host's shell: a `;` in a value, or `&&` in the command, runs on the host",
            "A list of arguments, without values; the container's bash, or sh, gets the command",
            Verdict.FIXED,
            held(
                _CONTAINER,
                "test_values_arrive_as_they_are_and_nothing_of_them_runs_here",
                "test_no_value_of_a_variable_is_an_argument",
                "test_a_command_runs_in_bash_where_the_image_has_it",
            ),
        ),
        Row(
            "E16",
            "What a container gets of stores",
            "Local ones are mounted (of a database the file alone); keys for S3, Azure, Google and HDFS by what the "
            "artifact store is",
            "The same, a database with its directory, temporary AWS keys too, and a login to the tracking server. "
            "`path` parameters are mounted, read-only",
            Verdict.FIXED,
            (
                *held(
                    _CONTAINER,
                    "test_a_local_tracking_store_is_mounted_and_named_as_the_container_sees_it",
                    "test_artifacts_on_s3_get_the_callers_credentials",
                    "test_other_artifact_stores_get_their_own_credentials_alone",
                    "test_a_tracking_server_gets_its_login",
                    "test_volumes_and_paths_are_seen_there",
                ),
                *held(_ENVIRONMENTS, "test_a_container_reaches_a_store_on_this_machine"),
            ),
        ),
    ),
)
