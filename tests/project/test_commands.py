"""The text that is given to a shell, and what a real shell makes of it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from mlp.errors import ParameterInvalid, ProjectInvalid

from .build import call, main

RECORDER = f"{sys.executable} -ISc 'import json,sys; print(json.dumps(sys.argv[1:]))'"


@pytest.mark.parametrize(
    ("command", "parameters", "given", "expected"),
    [
        # Placeholders.
        ("run {a} {b}", "a: string, b: string", {"a": "1", "b": "2"}, "run 1 2"),
        ("run {a} {a}", "a: string", {"a": "x y"}, "run 'x y' 'x y'"),
        ("run {a-b} {a.b}", "a-b: string, a.b: string", {"a-b": "1", "a.b": "2"}, "run 1 2"),
        ("run {größe}", "größe: string", {"größe": "1"}, "run 1"),
        ("run", "a: string", {"a": "1"}, "run"),
        # Braces.
        ("awk '{{print $1}}' {a}", "a: string", {"a": "f"}, "awk '{print $1}' f"),
        ("echo {{}}", "", {}, "echo {}"),
        # Everything else that Python's format strings offer a text.
        ("run [{a:>5}] [{a:5}] [{a:.1}]", "a: string", {"a": "xy"}, "run [   xy] [xy   ] [x]"),
        ("run {a!r} {a!s} {a!a}", "a: string", {"a": "é"}, """run "'é'" 'é' "'\\xe9'" """.rstrip()),
        ("run {a:{w}}|", "a: string, w: string", {"a": "x", "w": "3"}, "run x  |"),
        # Quoting happens before substitution.
        ('run "{a}"', "a: string", {"a": "x y"}, """run "'x y'\""""),
        ("run {a}", "a: string", {"a": ""}, "run ''"),
        ("run {a}", "a: string", {"a": "{b} {{c}}"}, "run '{b} {{c}}'"),
        # Extras.
        ("run {a}", "a: string", {"z": "1", "a": "0", "b": "x y"}, "run 0 --z 1 --b 'x y'"),
        ("run", "", {"k;rm -rf x": "v", "$k": "`id`"}, "run --'k;rm -rf x' v --'$k' '`id`'"),
        ("run", "", {"flag": ""}, "run --flag ''"),
    ],
)  # fmt: skip
def test_a_command_is_filled_as_python_fills_a_format_string(command, parameters, given, expected):
    assert call(main(json.dumps(command, ensure_ascii=False), parameters), parameters=given).command == expected


@pytest.mark.parametrize(
    ("command", "parameters", "given", "message"),
    [
        ("run {b}", "", {}, "MLproject:3:14: the command uses {b}, which is no parameter of the entry point; none is "),
        ("run {alhpa}", "alpha: string", {"alpha": "1"}, "declared are 'alpha'. Did you mean 'alpha'?"),
        ("run { alpha }", "alpha: string", {"alpha": "1"}, "Did you mean 'alpha'?"),
        ("run {b}", "", {"b": "1"}, "the command uses {b}, but the entry point does not declare a parameter 'b'."),
        ("awk '{print $1}'", "", {}, "MLproject:3:14: the command uses {print $1}, which is no parameter"),
        ("awk '{print $1}'", "", {}, "Braces that belong to the command itself are written {{ and }}."),
        ("echo {}", "", {}, "the command's placeholder {} names no parameter. Braces that belong"),
        ("echo {0}", "", {}, "the command's placeholder {0} names no parameter."),
        ("echo {a", "a: string", {"a": "1"}, "the command is not a format string: expected '}' before end of string."),
        ("echo }", "", {}, "the command is not a format string: Single '}' encountered in format string. Braces"),
        ("echo ${HOME}", "", {}, "the command uses {HOME}, which is no parameter"),
        ("echo {a:.3f}", "a: float", {"a": "1"}, "placeholder {a:.3f} does not fit a text: Unknown format code 'f'"),
        ("echo {a!x}", "a: string", {"a": "1"}, "placeholder {a!x} has an unknown conversion."),
        ("echo {a.__class__}", "a: string", {"a": "1"}, "{a.__class__} asks for a part of parameter 'a'; only {a} is"),
        ("echo {a[0]}", "a: string", {"a": "1"}, "{a[0]} asks for a part of parameter 'a'"),
        ("echo {a:>1000000000}", "a: string", {"a": "1"}, "placeholder {a:>1000000000} is too wide."),
        ("echo {a:>{w}}", "a: string, w: string", {"a": "1", "w": "1000000000"}, "is too wide."),
    ],
)  # fmt: skip
def test_a_command_that_cannot_be_filled_is_refused_with_the_reason(command, parameters, given, message):
    with pytest.raises(ProjectInvalid) as caught:
        call(main(json.dumps(command), parameters), parameters=given)
    assert message in str(caught.value)
    assert str(caught.value).startswith("MLproject:")


@pytest.mark.parametrize("block", ["|\n      run {a}\n", "|+\n      run {a}\n\n\n", ">\n      run\n      {a}\n"])
def test_extras_stay_on_the_line_of_a_command_in_a_block(block):
    assert call(main(block, "a: string"), parameters={"a": "1", "b": "2"}).command == "run 1 --b 2"


def test_without_extras_a_command_is_left_as_it_is():
    assert call(main("|\n      one\n      two {a}\n", "a: string"), parameters={"a": "1"}).command == "one\ntwo 1\n"


def test_white_space_that_a_backslash_protects_stays():
    assert call(main(json.dumps("run \\\n")), parameters={"b": "2"}).command == "run \\\n --b 2"
    assert call(main(json.dumps("run \\\\\n")), parameters={"b": "2"}).command == "run \\\\ --b 2"


def test_a_command_that_no_shell_can_be_given_is_refused():
    with pytest.raises(ParameterInvalid, match="over 131071 bytes long"):
        call(main("run {a}", "a: string"), parameters={"a": "x" * 131_072})
    with pytest.raises(ParameterInvalid, match="Put the long value into a file"):
        call(main("run"), parameters={"a": "ü" * 70_000})


def test_a_command_that_repeats_a_long_value_is_refused_before_it_is_built():
    with pytest.raises(ParameterInvalid, match="over 131071 bytes long"):
        call(main("run " + "{a}" * 50_000, "a: string"), parameters={"a": "x" * 100_000})


NASTY = {
    "space": "a b",
    "only spaces": "   ",
    "quotes": """it's "quoted" `here`""",
    "variable": "$HOME ${HOME} $(id) $((1+1))",
    "separators": "a; b & c && d | e || f > g < h",
    "newlines": "one\ntwo\r\n\nthree\n",
    "tabs": "\ta\t",
    "unicode": "größe 数据 🍷 e\u0301 \u202e \u00a0",
    "empty": "",
    "dashes": "--help",
    "dash": "-",
    "backslashes": "\\ \\\\ \\n a\\",
    "glob": "* ? [a-z] ~ ~root {a,b} !x",
    "comment": "# no comment",
    "equals": "a=b=c",
    "braces": "{a} {{b}} }{ {",
    "percent": "%s %(a)s %%",
    "control": "\x01\x1b[31m\x7f",
    "long": "long 'x' " * 5_000,
    "not utf-8": b"\xff\xfe".decode("utf-8", "surrogateescape"),
}


@pytest.mark.parametrize("nasty", NASTY.values(), ids=NASTY)
def test_a_real_shell_hands_over_exactly_the_values_that_were_given(nasty):
    repeated = nasty if len(nasty) < 1000 else "x"
    command = main(json.dumps(RECORDER + " {a} {b}"), "a: string, b: string")
    invocation = call(command, parameters={"a": nasty, "b": repeated, "extra": repeated, f"key {repeated}": "v"})
    ran = subprocess.run(["bash", "-c", invocation.command], capture_output=True, check=True)
    assert json.loads(ran.stdout) == [nasty, repeated, "--extra", repeated, f"--key {repeated}", "v"]
    assert ran.stderr == b""


def test_a_value_of_100_kilobytes_arrives_whole():
    long = "0123456789" * 10_000
    invocation = call(main(json.dumps(RECORDER + " {a}"), "a: string"), parameters={"a": long})
    ran = subprocess.run(["bash", "-c", invocation.command], capture_output=True, check=True)
    assert json.loads(ran.stdout) == [long]
