"""``kubectl mlp``: what tells the user what to type says it as the user types."""

from __future__ import annotations

import subprocess

import pytest

from mlp.cli.program import worded
from tests.cli.program import MLP, environment

PLUGIN = MLP.replace("/mlp", "/kubectl-mlp")


def kubectl_mlp(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PLUGIN, *arguments], env=environment(**variables), capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("arguments", [["--help"], ["logs", "--help"], ["retry", "-h"]])
def test_help_and_its_examples_speak_of_kubectl_mlp(arguments):
    shown = kubectl_mlp(*arguments).stdout

    assert "Usage: kubectl mlp" in shown
    assert shown.count("kubectl mlp ") > 3
    assert " mlp " not in shown.replace("kubectl mlp ", "")


def test_hints_speak_of_kubectl_mlp(runs):
    runs.create("wine")
    place = {"KUBECONFIG": str(runs.cluster.kubeconfig)}

    gone = kubectl_mlp("get", "nothing", "-n", runs.namespace, **place)
    described = kubectl_mlp("describe", "wine", "-n", runs.namespace, **place)

    assert "See 'kubectl mlp list -A'." in gone.stderr
    assert f"kubectl mlp cancel wine -n {runs.namespace}" in described.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("See 'mlp list -A'.", "See 'kubectl mlp list -A'."),
        ("mlp COMMAND --help", "kubectl mlp COMMAND --help"),
        ("kubectl mlp get x", "kubectl mlp get x"),
        ("mlp is not installed; pip install 'mlp-operator[operator]'", None),
        ("/mlp run/x", None),
        ("mlp getting on", None),
    ],
)
def test_only_calls_of_commands_are_reworded(monkeypatch, text, said):
    monkeypatch.setattr("sys.argv", ["/usr/local/bin/kubectl-mlp", "get"])

    assert worded(text, ("list", "get", "run")) == (said or text)


def test_as_mlp_nothing_is_reworded(monkeypatch):
    monkeypatch.setattr("sys.argv", ["mlp"])

    assert worded("See 'mlp list -A'.", ("list",)) == "See 'mlp list -A'."
