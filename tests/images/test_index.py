"""A build reaches the package index as this machine does."""

from __future__ import annotations

from pathlib import Path

from tests.images import index


def test_files_are_read_first_and_variables_win(tmp_path):
    conf = tmp_path / "pip.conf"
    conf.write_text("[global]\nindex-url = https://file/simple\nproxy = http://p:1\n")
    found = index.settings([conf], {"PIP_INDEX_URL": "https://variable/simple"})
    assert (found["index-url"], found["proxy"]) == ("https://variable/simple", "http://p:1")


def test_the_users_own_file_wins_over_the_machines(tmp_path):
    order = index.files(tmp_path)
    assert order.index(tmp_path / ".config/pip/pip.conf") > order.index(Path("/etc/pip.conf"))


def test_uvs_index_stands_in_where_pip_has_none():
    assert index.settings((), {"UV_DEFAULT_INDEX": "https://uv/simple"})["index-url"] == "https://uv/simple"


def test_what_is_true_on_this_machine_alone_is_not_passed_on(tmp_path):
    found = {"index-url": "https://index/simple", "find-links": "/some/wheels", "cert": "/some/ca.pem"}
    text = index.pip_conf(found, certificates=tmp_path)
    assert text == "[global]\nindex-url = https://index/simple\ncert = /run/secrets/ca.pem\n"
