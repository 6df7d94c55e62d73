"""The operator's settings: every one can be set, and a wrong one is named before anything starts."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import pytest

from mlp_operator.settings import Settings, SettingsError

GIVEN = {
    "MLP_RUNNER_IMAGE": ("registry.example.org/runner:2", "registry.example.org/runner:2"),
    "MLP_RUNNER_IMAGE_PULL_POLICY": ("Always", "Always"),
    "MLP_ENVIRONMENT_CLAIM": ("mlp-envs", "mlp-envs"),
    "MLP_NAMESPACES": (" a, b ,,c", ("a", "b", "c")),
    "MLP_GIT_PROTOCOLS": ("https, HTTP", ("https", "http")),
    "MLP_GIT_OTHER_HOSTS": ("Yes", True),
    "MLP_WORKERS": ("3", 3),
    "MLP_RESOLVERS": ("1", 1),
    "MLP_RESOLVE_TIMEOUT": ("1.5", 1.5),
    "MLP_TRACKING_URI": ("http://mlflow.mlflow:5000", "http://mlflow.mlflow:5000"),
    "MLP_TRACKING_SECRET": ("mlflow", "mlflow"),
    "MLP_TRACKERS": ("2", 2),
    "MLP_TRACKING_TIMEOUT": ("3", 3.0),
    "MLP_DELEGATES": ("2", 2),
    "MLP_DATABRICKS_TIMEOUT": ("3", 3.0),
    "MLP_DATABRICKS_POLL_PERIOD": ("0.5", 0.5),
    "MLP_DATABRICKS_STATUS_TIMEOUT": ("60", 60.0),
    "MLP_DATABRICKS_PLAIN_HTTP": ("true", True),
    "MLP_RESYNC_PERIOD": ("60", 60.0),
    "MLP_WATCH_GRACE": ("5", 5.0),
    "MLP_REQUEST_TIMEOUT": ("7", 7.0),
    "MLP_PROGRESS_DELAY": ("0", 0.0),
    "MLP_HEALTH_PORT": ("0", 0),
    "MLP_HEALTH_HOST": ("127.0.0.1", "127.0.0.1"),
    "MLP_SHUTDOWN_TIMEOUT": ("0", 0.0),
    "MLP_LOG_LEVEL": ("debug", "DEBUG"),
}


@pytest.mark.parametrize(("variable", "given"), GIVEN.items(), ids=GIVEN)
def test_a_variable_sets_its_setting_and_no_other(variable, given):
    text, value = given
    found = Settings.from_environment({variable: text})
    changed = {field.name for field in fields(Settings) if getattr(found, field.name) != field.default}
    assert changed == {variable.removeprefix("MLP_").lower()}
    assert getattr(found, changed.pop()) == value


def test_every_setting_has_its_line_above():
    assert set(GIVEN) == {f"MLP_{field.name.upper()}" for field in fields(Settings)} - {"MLP_STEP_VARIABLES"}


def test_variables_of_the_steps_are_taken_by_their_prefix():
    found = Settings.from_environment({"MLP_STEP_UV_OFFLINE": "1", "MLP_STEP_A": "", "MLP_STEPS": "x"})
    assert found == Settings(step_variables=(("A", ""), ("UV_OFFLINE", "1")))


def test_nothing_set_means_the_defaults():
    assert Settings.from_environment({"HOME": "/root", "MLP_UNKNOWN": "x"}) == Settings()


WRONG = {
    ("MLP_WORKERS", "0"): "must be at least 1, not 0",
    ("MLP_WORKERS", "many"): "must be a whole number, not 'many'",
    ("MLP_WORKERS", "1.5"): "must be a whole number, not '1.5'",
    ("MLP_WORKERS", ""): "must be a whole number, not ''",
    ("MLP_RESOLVERS", "-1"): "must be at least 1, not -1",
    ("MLP_HEALTH_PORT", "-1"): "must be a port, 0 to 65535, not -1",
    ("MLP_HEALTH_PORT", "99999"): "must be a port, 0 to 65535, not 99999",
    ("MLP_GIT_PROTOCOLS", ""): "must be some of https, ssh, http, file, not empty",
    ("MLP_GIT_PROTOCOLS", "https,ftp"): "must be some of https, ssh, http, file, not https, ftp",
    ("MLP_RUNNER_IMAGE", " "): "must be the name of an image",
    ("MLP_RESOLVE_TIMEOUT", "0"): "must be a number of seconds above 0, not 0",
    ("MLP_REQUEST_TIMEOUT", "nan"): "must be a number of seconds above 0, not nan",
    ("MLP_TRACKERS", "0"): "must be at least 1, not 0",
    ("MLP_TRACKING_TIMEOUT", "0"): "must be a number of seconds above 0, not 0",
    ("MLP_DELEGATES", "0"): "must be at least 1, not 0",
    ("MLP_DATABRICKS_TIMEOUT", "0"): "must be a number of seconds above 0, not 0",
    ("MLP_DATABRICKS_POLL_PERIOD", "0"): "must be a number of seconds above 0, not 0",
    ("MLP_RESYNC_PERIOD", "inf"): "must be a number of seconds above 0, not inf",
    ("MLP_WATCH_GRACE", "-3"): "must be a number of seconds above 0, not -3",
    ("MLP_PROGRESS_DELAY", "15s"): "must be a number of seconds, not '15s'",
    ("MLP_GIT_OTHER_HOSTS", "maybe"): "must be true or false, not 'maybe'",
    ("MLP_LOG_LEVEL", "LOUD"): "must be DEBUG or INFO or WARNING or ERROR or CRITICAL",
    ("MLP_RUNNER_IMAGE_PULL_POLICY", "Sometimes"): "must be Always or IfNotPresent or Never",
}


@pytest.mark.parametrize(
    ("given", "complaint"), WRONG.items(), ids=lambda value: " ".join(value) if len(value) < 3 else ""
)
def test_a_wrong_value_is_refused_by_its_variables_name(given, complaint):
    variable, text = given
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment({variable: text})
    assert str(refused.value).startswith(f"{variable} {complaint}")


def test_the_operator_says_so_in_one_line_and_does_not_start():
    done = subprocess.run(
        [sys.executable, "-m", "mlp_operator"],
        env={"MLP_WORKERS": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "mlp-operator: MLP_WORKERS must be at least 1, not 0\n")
