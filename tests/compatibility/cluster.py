"""What MLflow's Kubernetes backend does, what its users have asked for in vain, and what a ProjectRun does instead."""

from __future__ import annotations

from typing import Final

from tests.compatibility.row import Row, Table, Verdict, held

_ENVIRONMENT: Final = "steps/test_environment.py"
_BUNDLES: Final = "source/test_bundles.py"
_CHANGES: Final = "source/test_changes.py"
_CONFIGURATION: Final = "backends/kubernetes/test_configuration.py"
_SUBMITTED: Final = "backends/kubernetes/test_kubernetes_run.py"
_SENDING: Final = "backends/test_sending.py"
_LOGS: Final = "cli/test_logs.py"
_RUNS: Final = "cli/test_runs_in_a_cluster.py"
_SUBMIT: Final = "cli/test_submit.py"
_LIFE: Final = "e2e/test_life_of_a_run.py"
_FAILURES: Final = "e2e/test_failures.py"
_STATES: Final = "e2e/test_state_table.py"
_MISSION: Final = "e2e/test_mission.py"
_PARAMETERS: Final = "e2e/test_parameters_in_cluster.py"
_QUEUE: Final = "e2e/test_queue.py"
_TRACKING: Final = "e2e/test_tracking_in_cluster.py"
_VOLUMES: Final = "e2e/test_volumes.py"
_FOLLOWING: Final = "operator/test_following.py"
_JOB: Final = "operator/test_job.py"
_PLANNING: Final = "operator/test_planning.py"
_RECORDING: Final = "operator/test_recording.py"
_HERE_AND_THERE: Final = "projects/test_in_a_cluster.py"

CLUSTER: Final = Table(
    "K",
    "In a cluster",
    (
        Row(
            "K1",
            "What it takes",
            "A `docker_env`, a project name, Docker with a running daemon on the client; projects with a conda or "
            "Python environment cannot run",
            "The right to create ProjectRuns. Every kind of project runs; Docker is nowhere needed",
            Verdict.FIXED,
            (
                *held(_MISSION, "test_a_project_that_needs_everything_runs_to_its_end"),
                *held(_LIFE, "test_scripts_are_entry_points_without_an_mlproject_file"),
            ),
        ),
        Row(
            "K2",
            "The backend's configuration",
            "`kube-job-template-path` and `repository-uri` have to be given; `kube-context` may be",
            "The same keys, none of them needed; `repository-uri` is passed over, since no image is built",
            Verdict.FIXED,
            held(
                _CONFIGURATION,
                "test_the_place_is_told_from_the_run",
                "test_a_repository_for_images_is_passed_over_with_a_word",
                "test_the_template_of_mlflows_documentation_is_an_overlay_of_the_pod",
            ),
        ),
        Row(
            "K3",
            "The image",
            "With `--build-image` one is built and pushed for each run; without it the base image is pulled and pushed "
            "back, which takes the rights of its owner, and holds none of the project's code. Registries with "
            "credentials take a `docker login` on the client",
            "None is built, none is pushed: init containers bring code, data and environment to any image that has "
            "bash. `imagePullSecrets` name credentials for pulling it",
            Verdict.FIXED,
            (
                *held(_LIFE, "test_an_example_goes_from_a_branch_to_succeeded"),
                *held(_JOB, "test_the_image_of_main", "test_a_field_of_the_core_api_lands_where_it_belongs"),
                *held("operator/test_hindrances.py", "test_a_pull_secret_that_is_not_there_is_named"),
            ),
        ),
        Row(
            "K4",
            "The Job template",
            "Its first container's name, image and command, and the Job's name are replaced; `metadata.namespace` has "
            "to stand in it, or there is a KeyError",
            "A pod overlay: what is of the pod is laid over mlp's own as a strategic merge, what is of the Job becomes "
            "a field of the ProjectRun, and what neither has is refused by name. A namespace may be left out",
            Verdict.FIXED,
            (
                *held(
                    _CONFIGURATION,
                    "test_each_field_of_a_job_becomes_that_of_a_projectrun",
                    "test_what_a_runs_job_cannot_have_is_refused_by_name",
                ),
                *held("operator/test_overlay.py", "test_an_overlay_cannot_take_away_what_is_mlps"),
                *held(_HERE_AND_THERE, "test_a_job_template_s_namespace_and_pod_reach_the_projectrun"),
            ),
        ),
        Row(
            "K5",
            "Names",
            "The project's name and a time, as they are: 'My Project' is refused by Kubernetes, a long name too",
            "Made of project and entry point, so that Kubernetes takes them; or given",
            Verdict.FIXED,
            (
                *held(
                    _SUBMIT,
                    "test_a_name_is_made_of_project_and_entry_point",
                    "test_a_name_that_no_cluster_takes_is_refused_without_asking_one",
                ),
                *held(_JOB, "test_any_name_becomes_a_label_value"),
            ),
        ),
        Row(
            "K6",
            "The command",
            "Split at blanks and quoted again, without a shell: a value in quotes arrives with them, `|`, `&&` and "
            "`$HOME` as text",
            "One text for one bash, as on a laptop: parameters arrive exactly",
            Verdict.FIXED,
            (
                *held(_LIFE, "test_parameters_arrive_exactly"),
                *held(_JOB, "test_kubelet_passes_a_command_on_unchanged"),
            ),
        ),
        Row(
            "K7",
            "`path` parameters",
            "Downloaded on the client, whose path the pod's command gets",
            "Downloaded in the pod. A path of the client is refused; `-P name=@FILE` sends a file along",
            Verdict.FIXED,
            (
                *held(_MISSION, "test_a_project_that_needs_everything_runs_to_its_end"),
                *held(_PARAMETERS, "test_values_that_mean_nothing_in_a_pod_are_refused_with_the_way_out"),
                *held(_SENDING, "test_files_travel_in_a_config_map_and_their_parameters_are_their_paths"),
            ),
        ),
        Row(
            "K8",
            "`docker_env.environment` and `volumes`",
            "Ignored; where they act, with Docker, a `;` or a `)` in a value is a command of its own on the host",
            "Variables are set, whatever is in them; those that are copied from the caller's machine have to be given "
            "in the ProjectRun; directories of a host are refused by name",
            Verdict.FIXED,
            (
                *held(
                    _PLANNING,
                    "test_variables_that_a_project_sets_are_set_and_the_runs_own_win",
                    "test_variables_of_the_machine_have_to_be_given",
                    "test_directories_of_a_host_are_refused",
                ),
                *held(_JOB, "test_kubelet_passes_the_projects_variables_on_unchanged"),
            ),
        ),
        Row(
            "K9",
            "`-A`, `--env-manager`, `--run-id`",
            "Ignored",
            "`--env-manager` acts; the others mean nothing there and are refused",
            Verdict.FIXED,
            held(
                _HERE_AND_THERE,
                "test_a_call_becomes_a_projectrun",
                "test_what_a_cluster_does_not_do_is_refused_before_anything_is_there",
            ),
        ),
        Row(
            "K10",
            "Waiting",
            "The Job's conditions every five seconds. An image that cannot be pulled or a pod that fits no node is "
            "waited for without a word, for ever",
            "Why a run is pending is its condition, with the way out; `pendingDeadlineSeconds` ends the waiting",
            Verdict.FIXED,
            (
                *held(
                    _FAILURES,
                    "test_an_image_that_cannot_be_pulled_is_told_and_waited_for",
                    "test_a_pod_that_the_cluster_refuses_is_told",
                ),
                *held(_STATES, "test_each_end_is_told_and_recorded"),
                *held("operator/test_decide.py", "test_the_pending_deadline_counts_from_creation_and_is_waited_for"),
            ),
        ),
        Row(
            "K11",
            "An API server that fails while somebody waits",
            "An exception; the run stays RUNNING in MLflow for ever",
            "It is asked again. The operator keeps state and record, whoever waits or does not",
            Verdict.FIXED,
            (
                *held(_LOGS, "test_waiting_survives_cut_connections"),
                *held("e2e/test_crashes.py", "test_the_operator_may_die_between_any_two_requests"),
            ),
        ),
        Row(
            "K12",
            "A Job that somebody deletes or suspends",
            "An exception about a 404; RUNNING for ever",
            "Told, and made again as long as attempts are left; one that was suspended goes on",
            Verdict.FIXED,
            (
                *held(_STATES, "test_each_end_is_told_and_recorded"),
                *held(_FAILURES, "test_a_deleted_job_is_made_again_while_attempts_are_left"),
                *held("operator/test_decide.py", "test_a_job_that_another_suspended_is_let_go_on"),
            ),
        ),
        Row(
            "K13",
            "`cancel()`",
            "The Job's object is deleted and its pod works on",
            "The command gets SIGTERM and its grace period; the run is `Cancelled`, and KILLED in MLflow, when no pod "
            "is left",
            Verdict.FIXED,
            (
                *held(_FAILURES, "test_a_run_that_is_shut_down_is_cancelled_when_no_pod_is_left"),
                *held(_LIFE, "test_a_deleted_run_ends_its_command_at_once"),
                *held(_SUBMITTED, "test_cancelling_asks_for_a_shutdown_and_waits_for_the_end"),
                *held(_TRACKING, "test_mlflow_knows_each_end_of_a_run"),
            ),
        ),
        Row(
            "K14",
            "Logs and events",
            "Never fetched; kubectl has them",
            "`mlp logs -f` from before there is a pod to the end, over all steps and attempts; `run.logs()`; a "
            "failure's message has the last lines; `mlp describe` has the events",
            Verdict.FIXED,
            (
                *held(
                    _LOGS,
                    "test_following_begins_before_there_is_a_pod_and_ends_with_the_run",
                    "test_following_goes_on_with_the_next_attempt",
                ),
                *held(_FAILURES, "test_the_commands_exit_code_and_last_lines_are_told"),
            ),
        ),
        Row(
            "K15",
            "Retries, deadlines, priority, GPUs, ServiceAccounts, Secrets",
            "Whatever the user writes into the template; none can be told from what the project does wrong",
            "Fields of the ProjectRun; the project's file has none, for clusters differ. Failures of the cluster are "
            "not counted, mistakes are not repeated",
            Verdict.FIXED,
            (
                *held(_STATES, "test_each_end_is_told_and_recorded"),
                *held("operator/test_situation.py", "test_a_disruption_does_not_count_as_an_attempt"),
                *held(_JOB, "test_every_field_for_kubernetes_has_its_place_here"),
            ),
        ),
        Row(
            "K16",
            "From the run to its Job",
            "No label, no owner; the Job's name is not recorded",
            "The Job has the ProjectRun's name and belongs to it; MLflow's record has the ProjectRun's name, namespace "
            "and uid as tags, the ProjectRun's status the record's ID",
            Verdict.FIXED,
            (
                *held(_JOB, "test_a_job_belongs_to_its_run"),
                *held(_RECORDING, "test_a_run_says_what_was_run"),
                *held("operator/test_tracking.py", "test_a_run_begins_scheduled_and_says_whose_it_is"),
            ),
        ),
        Row(
            "K17",
            "Private repositories",
            "The client's own Git; a token in the URL is logged and recorded",
            "A Secret, mounted where Git runs alone. Credentials in a URL are refused",
            Verdict.FIXED,
            held("e2e/test_secrets_stay_secret.py", "test_the_git_password_is_nowhere"),
        ),
        Row(
            "K18",
            "Secrets as parameters",
            "Recorded in clear text like all others, and part of the pod's command",
            "From a Secret: in the command's environment and nowhere else",
            Verdict.FIXED,
            (
                *held(
                    _PARAMETERS,
                    "test_values_from_secrets_and_configmaps_are_waited_for_and_stay_where_they_belong",
                ),
                *held(_PLANNING, "test_nothing_that_is_planned_holds_a_secret"),
            ),
        ),
        Row(
            "K19",
            "The tracking server",
            "The client's URI, a local database too, is put over the template's, unless `KUBE_MLFLOW_TRACKING_URI` is "
            "set; credentials do not come along",
            "One that pods reach: the ProjectRun's or the operator's, with a Secret. A file, a database or `localhost` "
            "is not passed on, and a warning says so. `KUBE_MLFLOW_TRACKING_URI` counts",
            Verdict.FIXED,
            (
                *held(
                    "projects/test_recording.py",
                    "test_a_server_of_this_machine_is_reached_by_no_pod",
                    "test_the_server_is_the_most_particular_one_that_pods_reach",
                ),
                *held(_TRACKING, "test_a_run_goes_on_without_the_tracking_server_and_is_recorded_when_it_is_back"),
            ),
        ),
        Row(
            "K20",
            "States",
            "Of the Job while the client is there; a closed laptop leaves RUNNING for ever, a cancelled run is FAILED",
            "The operator writes SCHEDULED, RUNNING, FINISHED, FAILED or KILLED, with the reason, whoever is there",
            Verdict.FIXED,
            (
                *held(
                    _TRACKING,
                    "test_mlflow_knows_each_end_of_a_run",
                    "test_a_second_attempt_opens_the_record_again",
                    "test_a_run_that_is_deleted_while_the_operator_is_away_is_closed_when_it_is_back",
                ),
                *held(_FOLLOWING, "test_a_suspended_run_is_not_running_in_mlflow"),
                *held(_RECORDING, "test_phases_have_mlflows_words"),
            ),
        ),
        Row(
            "K21",
            "An MLflow run of one's own (`run_id`)",
            "Ignored: the pod's code gets it, the record does not",
            "Refused by name: the operator finds a run's record by the ProjectRun's uid, so that there is one and only "
            "one; name, experiment and tags are fields",
            Verdict.OTHER,
            held(
                _HERE_AND_THERE,
                "test_what_a_cluster_does_not_do_is_refused_before_anything_is_there",
            ),
        ),
        Row(
            "K22",
            "Environments of runs that start at once, and those of old",
            "No environments there; on one machine two builds collide, a half-built one is used, and none is ever "
            "deleted",
            "Built once for all that ask, under a lock, on a claim; one whose builder was killed is built anew; pruned "
            "by a CronJob that keeps what runs use",
            Verdict.FIXED,
            (
                *held(_VOLUMES, "test_runs_that_start_at_once_on_a_cold_cache_build_once"),
                *held(
                    _ENVIRONMENT,
                    "test_8_steps_on_a_cold_cache_build_once",
                    "test_a_step_that_was_killed_leaves_nothing_in_the_way_of_the_next",
                ),
                *held("backends/test_marked_pods.py", "test_pods_that_have_finished_or_are_gone_have_ended"),
            ),
        ),
        Row(
            "K23",
            "Workflows: a run that starts runs",
            "The driver's pod needs the node's Docker socket; a child does not know the manager of its parent",
            "A ServiceAccount with the rights of `deploy/driver-rbac.yaml`. Children have the driver's code, record, "
            "Secrets and cache, and end with it; their environment is the one that their project declares, found in "
            "that cache, or what the call says",
            Verdict.FIXED,
            (
                *held(
                    _HERE_AND_THERE,
                    "test_a_drivers_run_is_part_of_it_and_has_its_code_and_its_place",
                    "test_a_driver_without_rights_is_told_which_it_needs",
                    "test_a_driver_that_is_told_to_end_has_its_runs_ended",
                ),
                *held(
                    "projects/test_handing_on.py",
                    "test_a_child_is_recorded_below_its_driver_and_reaches_what_that_reaches",
                ),
            ),
        ),
        Row(
            "K24",
            "Queues, graphs, schedules",
            "None; threads of a Python program",
            "Queues by Kueue, and programs as on a laptop (K23). No graphs and no schedules of its own: a CronJob that "
            "calls `mlp submit` starts runs at their time",
            Verdict.OTHER,
            (
                *held(_QUEUE, "test_a_queued_run_is_admitted_preempted_and_admitted_again"),
                *held("e2e/test_many_runs.py", "test_a_hundred_runs_at_once"),
                *held(_SUBMIT, "test_submitting_creates_the_run_and_says_so"),
            ),
        ),
        Row(
            "K25",
            "A directory of the client",
            "Copied into the image with all that lies there, environments and `.env` files too; neither `.gitignore` "
            "nor `.dockerignore` counts. Without `--build-image` the code is missing",
            "Sent as Git sees it, without what `.gitignore` and `.mlpignore` name; what and how much is said, and "
            "there is a limit",
            Verdict.FIXED,
            (
                *held("e2e/test_bundles.py", "test_a_directory_of_this_machine_is_sent_and_run"),
                *held(
                    _BUNDLES,
                    "test_mlpignore_is_written_as_a_gitignore_and_goes_before_what_git_tracks",
                    "test_a_tree_over_the_limit_is_refused_with_its_largest_files_and_the_way_out",
                    "test_the_same_tree_is_the_same_bytes",
                ),
                *held(_SENDING, "test_what_is_sent_is_said_before"),
            ),
        ),
        Row(
            "K26",
            "Whether what ran was committed",
            "The commit is recorded, changes are not",
            "The tag `mlp.source.dirty` says whether something else was sent, `mlp.source.sha256` what",
            Verdict.FIXED,
            (
                *held(_CHANGES, "test_what_is_sent_decides_whether_it_is_dirty"),
                *held(_RECORDING, "test_a_packed_project_is_known_by_its_digest"),
            ),
        ),
        Row(
            "K27",
            "Runs from another machine; once more",
            "A run is known to the process that has started it alone",
            "`mlp list`, `describe`, `logs`, `wait`, `cancel` from anywhere; `mlp retry` runs the same commit "
            "once more",
            Verdict.FIXED,
            (
                *held(
                    _RUNS,
                    "test_runs_are_listed_newest_first_with_the_columns_of_kubectl",
                    "test_waiting_tells_how_the_run_goes_and_ends_with_it",
                ),
                *held(_SUBMIT, "test_ctrl_c_detaches_and_says_how_to_come_back_and_how_to_end_the_run"),
            ),
        ),
        Row(
            "K28",
            "The whole log as an artifact of the MLflow run",
            "Not there, though asked for",
            "Not there: a log lives as long as its pod (`retention`), and the end of a failure's in the status; to "
            "keep more is the business of the cluster's log collector. `mlp logs` says where a log has gone",
            Verdict.LEFT_OUT,
            held(_LOGS, "test_logs_that_went_with_their_pod_are_said_to_be_gone"),
        ),
    ),
)
