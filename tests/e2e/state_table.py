"""The table of a run's states, and the test that shows each of them on a cluster.

A row is a situation; a reason is the word that the condition Succeeded has for it. test_state_table.py holds that the
table is whole and that its tests are there, and has the tests of rows that no other one needs.
"""

from __future__ import annotations

from typing import Final

from mlp.resources import Reason

OWN: Final = "test_state_table.py"
_MISTAKES: Final = "test_failures.py::test_mistakes_are_told_before_any_job_exists"
_FURTHER_MISTAKES: Final = f"{OWN}::test_further_mistakes_are_told_before_any_job_exists"
_START: Final = f"{OWN}::test_each_stage_of_a_slow_start_is_told"
_ENDS: Final = f"{OWN}::test_each_end_is_told_and_recorded"
_VOLUMES: Final = "test_volumes.py::test_a_claim_that_cannot_be_used_is_told"
_DATABRICKS: Final = "test_databricks_in_cluster.py"
_REMOTE_STAGES: Final = f"{_DATABRICKS}::test_each_stage_of_a_run_on_databricks_is_told"
_REMOTE_ENDS: Final = f"{_DATABRICKS}::test_each_end_on_databricks_is_told_and_recorded"
_RECORDS: Final = "test_tracking_in_cluster.py::test_mlflow_knows_each_end_of_a_run"

ROWS: Final[dict[str, dict[str, str]]] = {
    "the project is looked up": {
        Reason.RESOLVING: _START,
        Reason.SOURCE_UNAVAILABLE: f"{OWN}::test_a_server_that_cannot_be_reached_is_waited_for",
        Reason.PARAMETER_SOURCE_PENDING: "test_parameters_in_cluster.py"
        "::test_values_from_secrets_and_configmaps_are_waited_for_and_stay_where_they_belong",
    },
    "what is asked for cannot be": {
        Reason.SOURCE_NOT_FOUND: _MISTAKES,
        Reason.AUTHENTICATION_FAILED: _MISTAKES,
        Reason.ENTRY_POINT_NOT_FOUND: _MISTAKES,
        Reason.PARAMETER_MISSING: _MISTAKES,
        Reason.PARAMETER_INVALID: _MISTAKES,
        Reason.INVALID_SPEC: _FURTHER_MISTAKES,
        Reason.SOURCE_INVALID: _FURTHER_MISTAKES,
        Reason.PROJECT_INVALID: _FURTHER_MISTAKES,
        Reason.TRACKING_DENIED: _FURTHER_MISTAKES,
        Reason.TRACKING_NOT_FOUND: _FURTHER_MISTAKES,
    },
    "there is no Job": {
        Reason.JOB_CONFLICT: "test_failures.py::test_a_foreign_job_of_the_runs_name_is_left_alone",
        Reason.JOB_REFUSED: f"{OWN}::test_a_job_that_a_quota_refuses_is_tried_again",
    },
    "it waits for quota": {Reason.WAITING_FOR_QUOTA: _START},
    "its user holds it": {
        Reason.SUSPENDED: "test_tracking_in_cluster.py::test_a_second_attempt_opens_the_record_again"
    },
    "its pod cannot start": {
        Reason.SUBMITTED: _ENDS,
        Reason.POD_REFUSED: "test_failures.py::test_a_pod_that_the_cluster_refuses_is_told",
        Reason.UNSCHEDULABLE: _ENDS,
        Reason.IMAGE_PULL_BACK_OFF: "test_failures.py::test_an_image_that_cannot_be_pulled_is_told_and_waited_for",
        Reason.VOLUME_PENDING: _VOLUMES,
        Reason.VOLUME_MOUNT_FAILED: _VOLUMES,
    },
    "its pod prepares it": {Reason.FETCHING: _START, Reason.BUILDING_ENVIRONMENT: _START},
    "its workspace does not answer": {
        Reason.WORKSPACE_UNAVAILABLE: f"{_DATABRICKS}::test_a_workspace_that_is_away_is_waited_for",
    },
    "its workspace does not take it": {
        Reason.WORKSPACE_DENIED: f"{_DATABRICKS}::test_a_workspace_that_refuses_the_credentials_is_told",
        Reason.WORKSPACE_REFUSED: f"{_DATABRICKS}::test_what_a_workspace_does_not_take_is_told",
    },
    "its compute is made ready": {Reason.WAITING_FOR_COMPUTE: _REMOTE_STAGES},
    "its command runs": {Reason.RUNNING: _START},
    "it is being ended on Databricks": {
        Reason.ENDING: f"{_DATABRICKS}::test_a_cancelled_run_has_ended_on_databricks_before_it_is_said",
    },
    "it has succeeded": {Reason.SUCCEEDED: _START},
    "its command has failed": {Reason.ENTRY_POINT_FAILED: _RECORDS},
    "it is tried again": {Reason.RETRYING: _ENDS},
    "all attempts have failed": {
        Reason.BACKOFF_LIMIT_EXCEEDED: _ENDS,
        Reason.OOM_KILLED: _ENDS,
        Reason.EVICTED: _ENDS,
        Reason.NODE_LOST: _ENDS,
        Reason.PREPARATION_FAILED: _START,
    },
    "its time is up": {Reason.DEADLINE_EXCEEDED: _ENDS, Reason.PENDING_DEADLINE_EXCEEDED: _ENDS},
    "its user has ended it": {Reason.CANCELLED: _RECORDS},
    "somebody has deleted its Job": {Reason.JOB_DELETED: _ENDS},
    "Databricks has failed it": {
        Reason.WORKSPACE_FAILED: _REMOTE_ENDS,
        Reason.RUN_SKIPPED: _REMOTE_ENDS,
        Reason.RUN_LOST: _REMOTE_ENDS,
        Reason.STATUS_CHECK_TIMEOUT: f"{_DATABRICKS}::test_a_run_whose_state_nobody_can_read_is_given_up",
    },
}
"""The tests by situation and reason."""

RECORDING: Final = {
    Reason.RECORDED: _RECORDS,
    Reason.PENDING: "test_tracking_in_cluster.py"
    "::test_a_run_goes_on_without_the_tracking_server_and_is_recorded_when_it_is_back",
    Reason.TRACKING_UNAVAILABLE: "test_tracking_in_cluster.py"
    "::test_a_run_goes_on_without_the_tracking_server_and_is_recorded_when_it_is_back",
}
"""Reasons that only the condition Tracked has."""

OF_OTHER_CONDITIONS: Final = {Reason.RESOLVED, Reason.ADMITTED, Reason.INITIALIZED, Reason.RESUMED}
OF_OTHER_VERSIONS: Final = {Reason.FIELD_NOT_SUPPORTED}
"""What this version gives to no run: there is no field that it does not act on."""
