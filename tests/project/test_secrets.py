"""Secret values in commands: a reference stands for each, and a real bash makes exactly one word of it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from mlp.errors import EntryPointNotFound, ParameterInvalid
from mlp.project import Project

from .build import Marked, call, files, main

RECORDER = f"{sys.executable} -ISc 'import json,sys; print(json.dumps(sys.argv[1:]))'"
SECRET = "a b\n'c' \"d\" $HOME `id` $(id) \\ * {x} #"


def resolve(command, declared="token: string, n: int", entry_point="main", *, others=(), **secrets):
    """A call with n = 1 whose other parameters are secret."""
    of = files(main(json.dumps(command), declared), *others)
    given = ({"n": "1"} if " n:" in f" {declared}" else {}) | (secrets or {"token": SECRET})
    references = {name: f"SECRET_{name.upper()}" for name in given if name != "n"}
    return Project.load(of).resolve(entry_point, given, files=of, places=Marked(), references=references)


# The command, and the arguments that it has to run with; S stands for the secret.
WORDS = {
    "a word": ("run {token}", ["S"]),
    "twice": ("run {token} {token}", ["S", "S"]),
    "a part of a word": ("run --token={token},x", ["--token=S,x"]),
    "beside another value": ("run {n}{token}{n}", ["1S1"]),
    "in double quotes": ('run "Bearer {token}"', ["Bearer S"]),
    "behind single quotes": ("run 'it is' {token}", ["it is", "S"]),
    "behind an apostrophe in double quotes": ('run "it\'s" {token}', ["it's", "S"]),
    "behind a quoted quote": (r"run \' {token} \"", ["'", "S", '"']),
    "behind ANSI quotes": (r"run $'it\'s' {token}", ["it's", "S"]),
    "behind an escaped dollar sign": (r"run \${token}", ["$S"]),
    "in a command substitution": ('run "$(printf %s {token})"', ["S"]),
    "in one with double quotes": ('run "$(printf %s "{token}")"', ["S"]),
    "behind one": ('run "$(printf "%s" "x)y")" {token}', ["x)y", "S"]),
    "in a subshell": ("(run {token})", ["S"]),
    "behind an expansion": ('run "${{NOTHING:-it is}}" {token}', ["it is", "S"]),
    "behind arithmetic": ("run $((1 << (2))) {token}", ["4", "S"]),
    "behind a comment": ("# don't\nrun {token}", ["S"]),
    "behind what only looks like one": ("run a#'b' {token}", ["a#b", "S"]),
    "behind a here-string": ("cat <<<'x' >/dev/null; run {token}", ["S"]),
    "as a variable": ('TOKEN={token} && run "$TOKEN"', ["S"]),
    "over several lines": ("run \\\n  {token} \\\n  x\n", ["S", "x"]),
}


@pytest.mark.parametrize(("command", "words"), WORDS.values(), ids=WORDS)
def test_bash_makes_one_word_of_a_reference(command, words):
    found = resolve(command)
    script = f'run() {{ {RECORDER} "$@"; }}\n{found.command}'
    ran = subprocess.run(
        ["bash", "-c", script], env={"SECRET_TOKEN": SECRET, "HOME": "/h"}, capture_output=True, text=True, check=True
    )
    assert json.loads(ran.stdout) == [word.replace("S", SECRET) for word in words]
    assert "id`" not in found.command


def test_undeclared_ones_are_appended_as_references():
    found = resolve("run\n", "n: int", token=SECRET, **{"other key": "x"})
    assert found.command == 'run --token "$SECRET_TOKEN" --\'other key\' "$SECRET_OTHER KEY"'


def test_a_script_gets_them_too():
    found = resolve("x", "", "train.py", others=["train.py"], token=SECRET)
    assert found.command == 'python train.py --token "$SECRET_TOKEN"'


REFUSED = {
    "single quotes": ("run '{token}'", "single quotes around it"),
    "single quotes, farther": ("run 'a {token} b'", "single quotes around it"),
    "single quotes in a substitution": ("run \"$(run '{token}')\"", "single quotes around it"),
    "a format": ("run {token:>20}", "cannot be formatted"),
    "a conversion": ("run {token!r}", "cannot be formatted"),
    "a width": ("run {n:{token}}", "a width cannot be secret"),
    "a backslash": (r"run \{token}", "cannot be told"),
    "a backslash in double quotes": (r'run "\{token}"', "cannot be told"),
    "a dollar sign": ("run ${token}", "cannot be told"),
    "a dollar sign in double quotes": ('run "${token}"', "cannot be told"),
    "backticks": ("run `run {token}`", "cannot be told"),
    "an expansion": ("run ${{X:-{token}}}", "cannot be told"),
    "arithmetic": ("run $(({token} + 1))", "cannot be told"),
    "ANSI quotes": ("run $'{token}'", "cannot be told"),
    "a here-document": ("run <<END\n{token}\nEND\n", "cannot be told"),
}


@pytest.mark.parametrize(("command", "why"), REFUSED.values(), ids=REFUSED)
def test_where_a_reference_would_not_work_it_is_refused_with_the_way_out(command, why):
    with pytest.raises(ParameterInvalid) as refused:
        resolve(command)
    said = str(refused.value)
    assert why in said
    assert "Parameter 'token' comes from a Secret" in said
    assert "Write it as {token}" in said
    assert "id`" not in said


def test_what_is_resolved_holds_no_secret():
    found = resolve("run {token} {n}", "token: string, n: int", token="s3cr3t", extra="0ther")
    assert "s3cr3t" not in repr(found)
    assert "0ther" not in repr(found)
    assert [(each.name, each.value, each.reference, each.source) for each in found.parameters] == [
        ("token", "", "SECRET_TOKEN", "Spec"),
        ("n", "1", None, "Spec"),
        ("extra", "", "SECRET_EXTRA", "Extra"),
    ]


TYPES = {
    "float": ("0.5", "much"),
    "int": ("42", "4.2"),
    "bool": ("yes", "maybe"),
    "uri": ("https://h/p", "relative/path"),
    "string": ("anything", "\0"),
}


@pytest.mark.parametrize(("type_", "values"), TYPES.items())
def test_a_secret_has_to_be_of_its_type(type_, values):
    good, bad = values
    assert resolve("run {token}", f"token: {type_}", token=good).command == 'run "$SECRET_TOKEN"'
    with pytest.raises(ParameterInvalid, match="'token' got a value from a Secret, which ") as refused:
        resolve("run {token}", f"token: {type_}", token=bad)
    assert bad not in str(refused.value)


def test_a_uri_may_be_an_absolute_path():
    assert resolve("run {token}", "token: uri", token="/data/x").command == 'run "$SECRET_TOKEN"'


def test_a_path_is_never_secret():
    with pytest.raises(ParameterInvalid, match="'token' is of type path, whose values cannot come from a Secret"):
        resolve("run {token}", "token: path", token="/data/s3cr3t")


def test_a_mistake_in_the_call_does_not_show_it():
    with pytest.raises(EntryPointNotFound) as refused:
        resolve("run {token}", entry_point="gone", token="s3cr3t")
    assert "s3cr3t" not in str(refused.value)


# --- quotes of the author's -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "declared", "names"),
    [
        ("run '{a}' \"{b}\"", "a: string, b: path", ["a", "b"]),
        ("run '{a}' '{a}'", "a: uri", ["a"]),
        ("run \"$(run '{a}')\"", "a: string", ["a"]),
        ("run 'x' {a} \"y\"", "a: string", []),
        ('run "$(run {a})"', "a: string", []),
        ("run '{a}' \"{b}\" '{c}'", "a: float, b: int, c: bool", []),
        ("run `{a}` \\{a} ${a}", "a: string", []),
        ("run '{gone}' '{a}'", "a: string", []),
        ("run '{a' ", "a: string", []),
    ],
)
def test_a_value_in_quotes_is_worth_a_warning(command, declared, names):
    _, problems = Project.check(files(main(json.dumps(command), declared)))
    warnings = [each for each in problems if each.severity == "warning"]
    assert [each.message.partition(" into quotes")[0] for each in warnings] == [
        f"the command puts {{{name}}}" for name in names
    ]
    assert all((each.file, each.line) == ("MLproject", 4) for each in warnings)


def test_the_warning_tells_of_what_really_happens():
    command = call(main("\"run '{a}'\"", "a: string"), parameters={"a": "x y"}).command
    script = f'run() {{ {RECORDER} "$@"; }}\n{command}'
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) == ["x", "y"]
