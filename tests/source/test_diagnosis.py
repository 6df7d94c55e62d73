"""What Git printed in the wild, where no server of ours would say the same."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mlp.errors import AuthenticationFailed, SourceInvalid, SourceNotFound, SourceUnavailable
from mlp.source.diagnosis import diagnose, refused_object

HUNG_UP = "fatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\n"


@pytest.mark.parametrize(
    ("stderr", "error", "words"),
    [
        (
            "fatal: could not read Username for 'https://github.com': terminal prompts disabled\n",
            AuthenticationFailed,
            "or it does not exist",
        ),
        (
            (
                "remote: HTTP Basic: Access denied. If a password was provided...\n"
                "fatal: Authentication failed for 'https://gitlab.com/x/y.git/'\n"
            ),
            AuthenticationFailed,
            "WAY OUT",
        ),
        (f"git@github.com: Permission denied (publickey).\n{HUNG_UP}", AuthenticationFailed, "publickey"),
        (
            (
                f"No ED25519 host key is known for github.com and you have requested strict checking.\n"
                f"Host key verification failed.\n{HUNG_UP}"
            ),
            AuthenticationFailed,
            "known_hosts",
        ),
        (
            "fatal: unable to access 'https://h/p/': SSL certificate problem: unable to get local issuer certificate\n",
            AuthenticationFailed,
            "who it is",
        ),
        (f"ERROR: Repository not found.\n{HUNG_UP}", SourceNotFound, "Repository not found"),
        (
            "remote: Repository not found.\nfatal: repository 'https://github.com/x/y/' not found\n",
            SourceNotFound,
            "no Git repository",
        ),
        (
            "fatal: 'x/y.git' does not appear to be a git repository\n" + HUNG_UP,
            SourceNotFound,
            "does not appear to be a git repository",
        ),
        ("fatal: unable to access 'https://h/p/': Could not resolve host: h\n", SourceUnavailable, "resolve host"),
        (
            f"ssh: Could not resolve hostname h: Name or service not known\n{HUNG_UP}",
            SourceUnavailable,
            "Could not resolve hostname",
        ),
        (
            f"ssh: connect to host h port 22: Connection timed out\n{HUNG_UP}",
            SourceUnavailable,
            "Connection timed out",
        ),
        (
            f"kex_exchange_identification: Connection closed by remote host\n{HUNG_UP}",
            SourceUnavailable,
            "Connection closed",
        ),
        (
            (
                "fatal: unable to access 'https://h/p/': Operation too slow. "
                "Less than 1 bytes/sec transferred the last 60 seconds\n"
            ),
            SourceUnavailable,
            "too slow",
        ),
        (
            "error: RPC failed; curl 56 GnuTLS recv error\nfatal: early EOF\nfatal: fetch-pack: invalid index-pack\n",
            SourceUnavailable,
            "RPC failed",
        ),
        ("fatal: transport 'ext' not allowed\n", SourceInvalid, "'ext' not allowed"),
        ("fatal: detected dubious ownership in repository at '/srv/p'\n", SourceInvalid, "safe.directory"),
        ("fatal: write error: No space left on device\n", SourceUnavailable, "no room left"),
        ("something nobody has seen before\n", SourceUnavailable, "something nobody has seen before"),
        ("", SourceUnavailable, "without a word"),
    ],
)
def test_an_error_of_git_becomes_one_of_ours(stderr, error, words):
    found = diagnose(stderr, uri="https://h/p", way_to_authenticate="WAY OUT")
    assert type(found) is error
    assert words in str(found)


def test_credentials_in_gits_words_are_redacted():
    stderr = "fatal: unable to access 'https://bob:hunter2@h/p/': Could not resolve host: h\n"
    assert "hunter2" not in str(diagnose(stderr, uri="https://bob:hunter2@h/p", way_to_authenticate=""))


@pytest.mark.parametrize(
    ("stderr", "refused"),
    [
        ("error: Server does not allow request for unadvertised object 1234\n", True),
        ("fatal: remote error: upload-pack: not our ref 1234\n", True),
        ("fatal: couldn't find remote ref refs/heads/gone\n", True),
        ("fatal: could not fetch 1234 from promisor remote\n", True),
        ("fatal: dumb http transport does not support shallow capabilities\n", True),
        # The lazy fetch of a file failed for another reason, which another way would meet too.
        ("fatal: Authentication failed for 'https://h/p'\nfatal: could not fetch 1 from promisor remote\n", False),
        ("fatal: early EOF\n", False),
    ],
)
def test_only_a_refusal_makes_another_way_worth_trying(stderr, refused):
    assert refused_object(stderr) is refused


def test_gitpython_is_not_imported_before_it_is_needed():
    program = "import mlp.source, sys; sys.exit('git' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
