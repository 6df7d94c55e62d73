"""A mounted Secret as variables."""

from __future__ import annotations

import os

import pytest

from mlp.errors import UsageError
from mlp.steps.variables import lent, read_variables
from tests.steps.pods import mount


def test_each_key_is_a_variable_and_nothing_else_is(tmp_path):
    secret = tmp_path / "secret"
    mount(secret, AWS_ACCESS_KEY_ID="id", _odd1="x", **{"not-a-variable": "x", "1st": "x", ".hidden": "x"})
    (secret / "directory").mkdir()
    (secret / "dangling").symlink_to("nowhere")
    assert read_variables(secret) == {"AWS_ACCESS_KEY_ID": "id", "_odd1": "x"}


def test_without_a_secret_there_are_none(tmp_path):
    assert read_variables(tmp_path / "nowhere") == {}


def test_the_end_of_a_line_is_no_part_of_a_value(tmp_path):
    mount(tmp_path / "secret", TOKEN="t\n", WINDOWS="w\r\n", LINES="a\nb\n", SPACE=" s ")
    assert read_variables(tmp_path / "secret") == {"TOKEN": "t", "WINDOWS": "w", "LINES": "a\nb", "SPACE": " s "}


def test_a_variable_that_names_a_file_may_hold_the_files_content(tmp_path):
    secret = tmp_path / "secret"
    mount(secret, NETRC="machine h login l password p\n", SSL_CERT_FILE="---\n---\n", AWS_CONFIG_FILE="/etc/aws\n")
    found = read_variables(secret)
    assert found == {
        "NETRC": str(secret / "NETRC"),
        "SSL_CERT_FILE": str(secret / "SSL_CERT_FILE"),
        "AWS_CONFIG_FILE": "/etc/aws",
    }


def test_what_no_variable_can_hold_is_named_without_its_value(tmp_path):
    mount(tmp_path / "secret", BINARY=b"hunter\x002")
    with pytest.raises(UsageError, match=r"key BINARY holds a NUL") as raised:
        read_variables(tmp_path / "secret")
    assert "hunter" not in str(raised.value)


def test_bytes_that_are_no_text_arrive_as_they_are(tmp_path):
    mount(tmp_path / "secret", PASSWORD=b"\xff\xfe")
    with lent(read_variables(tmp_path / "secret")):
        assert os.environb[b"PASSWORD"] == b"\xff\xfe"


def test_variables_are_lent_and_no_more(monkeypatch):
    monkeypatch.setenv("MLP_TEST_THERE", "before")
    monkeypatch.delenv("MLP_TEST_NEW", raising=False)

    def use():
        with lent({"MLP_TEST_THERE": "now", "MLP_TEST_NEW": "now"}):
            assert (os.environ["MLP_TEST_THERE"], os.environ["MLP_TEST_NEW"]) == ("now", "now")
            raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        use()
    assert os.environ["MLP_TEST_THERE"] == "before"
    assert "MLP_TEST_NEW" not in os.environ
