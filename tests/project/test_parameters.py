"""What is accepted for which type, what stands for it in the command, and what is said otherwise."""

from __future__ import annotations

import pytest

from mlp.errors import ParameterInvalid, ParameterMissing, ProjectInvalid
from mlp.project import ResolvedParameter, expected_uri, no_such_path

from .build import call, main


def value(declaration: str, given: str | None = None, *, validate: bool = True) -> ResolvedParameter:
    parameters = {} if given is None else {"a": given}
    invocation = call(main("'c {a}'", f"a: {declaration}"), parameters=parameters, validate=validate)
    return invocation.parameters[0]


@pytest.mark.parametrize(
    "declaration",
    ["float", "{type: float}", "{type: float, default: }", "{type: float, default: null}", "{default: ~}", "{}"],
)
def test_without_a_default_a_value_has_to_be_given(declaration):
    with pytest.raises(ParameterMissing) as caught:
        value(declaration)
    assert str(caught.value) == "No value given for missing parameters: 'a'"
    assert value(declaration, "1").value == "1"


def test_all_missing_parameters_are_named_at_once_in_the_order_of_their_declaration():
    with pytest.raises(ParameterMissing) as caught:
        call(main("ls", "c: float, b: {default: 1}, a: string"), parameters={"x": "1"})
    assert str(caught.value) == "No value given for missing parameters: 'c', 'a'"


def test_a_misspelt_parameter_is_named_where_the_right_one_is_missing():
    with pytest.raises(ParameterMissing) as caught:
        call(main("ls", "alpha: float, beta: float"), parameters={"alhpa": "1", "verbose": "1"})
    assert str(caught.value) == (
        "No value given for missing parameters: 'alpha', 'beta'. 'alhpa' was given: did you mean 'alpha'?"
    )


def test_an_undeclared_parameter_that_resembles_a_declared_one_is_worth_a_warning():
    invocation = call(main("ls {alpha}", "alpha: {default: 1}"), parameters={"Alpha": "2", "verbose": "1"})
    assert invocation.command == "ls 1 --Alpha 2 --verbose 1"
    assert invocation.warnings == (
        "Parameter 'Alpha' is not declared and is appended as --Alpha. Did you mean 'alpha'?",
    )


def test_names_differ_by_case():
    invocation = call(main("'{a} {A}'", "a: string, A: string"), parameters={"a": "1", "A": "2"})
    assert invocation.command == "1 2"
    assert invocation.warnings == ()


@pytest.mark.parametrize(
    ("default", "text"),
    [
        ("0", "0"),
        ("False", "False"),
        ("no", "False"),
        ("yes", "True"),
        ("''", ""),
        ("0.0", "0.0"),
        ("1e-3", "1e-3"),
        ("1.0e-3", "0.001"),
        ("010", "8"),
        ("1:30", "90"),
        ("0x1F", "31"),
        ("1_000", "1000"),
        (".inf", "inf"),
        ("'010'", "010"),
        ("None", "None"),
        ("[1, 2]", "[1, 2]"),
        ("{k: v}", "{'k': 'v'}"),
        ("2024-01-31", "2024-01-31"),
        ("'a b'", "a b"),
    ],
)
def test_a_default_is_python_s_text_of_the_yaml_value(default, text):
    assert value(f"{{default: {default}}}") == ResolvedParameter("a", "string", text, text, "Default")


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        *(("string", text) for text in ["", " ", "a b", "it's", "$HOME; rm", "ü", "-x", "\\", "1\n2"]),
        *(("float", text) for text in ["0", "-1", "+.5", "1e-3", "1E5", "nan", "-inf", "1_000.5", " 1 ", "0.10"]),
        *(("int", text) for text in ["0", "-1", "+7", "007", "1_000", "9" * 5000, " 1 "]),
        *(("bool", text) for text in ["true", "True", "TRUE", "false", "yes", "No", "1", "0"]),
        *(("uri", text) for text in ["s3://b/k", "file:/x", "dbfs:/x", "runs:/id/x", "http://h/ x", "a+b.c-d:e"]),
    ],
)
def test_a_valid_value_is_never_changed(type_, text):
    assert value(type_, text) == ResolvedParameter("a", type_, text, text, "Spec")


@pytest.mark.parametrize(
    ("type_", "text", "message"),
    [
        *(
            ("float", text, f"Parameter 'a' got {text!r}, which is not a number such as 0.5 or 1e-3. Its type is float")
            for text in ["", "x", "1,5", "0x10", "True", "1 2", "--1", "1e"]
        ),
        *(
            ("int", text, f"Parameter 'a' got {text!r}, which is not a whole number such as 42. Its type is int")
            for text in ["", "x", "1.0", "1e3", "0x10", "True", "1__0", "_1", "1-"]
        ),
        *(
            ("bool", text, f"Parameter 'a' got {text!r}, which is none of true, false, yes, no, 1 and 0.")
            for text in ["", "on", "t", "2", "truth", " true"]
        ),
        ("float", "x" * 5000, "… (5000 characters)', which is not a number"),
        ("string", "a\0b", "Parameter 'a' contains a NUL character"),
        ("path", "", "Got value  for parameter a, but no such file or directory was found."),
        ("uri", "", "Expected URI for parameter a but got "),
    ],
)
def test_a_value_that_does_not_fit_its_type_is_refused(type_, text, message):
    with pytest.raises(ParameterInvalid) as caught:
        value(type_, text)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400


def test_the_refusal_says_where_the_type_is_declared():
    with pytest.raises(ParameterInvalid, match=r"Its type is float \(MLproject:3:21\)\."):
        value("float", "x")


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ("{type: float, default: none}", "MLproject:3:44: the default of parameter 'a' is 'none', which is not a numb"),
        ("{type: int, default: 1.5}", "MLproject:3:42: the default of parameter 'a' is '1.5', which is not a whole"),
        ("{type: bool, default: maybe}", "MLproject:3:43: the default of parameter 'a' is 'maybe', which is none of"),
        ("{type: int, default: [1]}", "the default of parameter 'a' is '[1]'"),
    ],
)  # fmt: skip
def test_a_default_that_does_not_fit_is_the_author_s_mistake_and_only_where_it_is_used(declaration, message):
    with pytest.raises(ProjectInvalid) as caught:
        value(declaration)
    assert message in str(caught.value)
    assert value(declaration, "1").value == "1"


@pytest.mark.parametrize(
    ("type_", "guess"),
    [
        ("flaot", "float"),
        ("Float", "float"),
        ("str", "string"),
        ("integer", "int"),
        ("number", "float"),
        ("boolean", "bool"),
        ("file", "path"),
        ("url", "uri"),
        ("strnig", "string"),
        ("banana", None),
        ("''", None),
    ],
)
def test_an_unknown_type_is_refused_with_the_one_that_was_probably_meant(type_, guess):
    with pytest.raises(ProjectInvalid) as caught:
        value(type_, "1")
    shown = type_.strip("'")
    meant = f" Did you mean '{guess}'?" if guess else ""
    assert str(caught.value) == (
        f"MLproject:3:21: parameter 'a' has the unknown type '{shown}'.{meant} "
        "The types are string, float, int, bool, path, uri."
    )


@pytest.mark.parametrize(
    ("declaration", "given"),
    [("float", "x"), ("int", "1.5"), ("bool", "maybe"), ("banana", "x"), ("{type: float, default: None}", None)],
)
def test_without_validation_any_value_passes_as_it_does_in_mlflow(declaration, given):
    assert value(declaration, given, validate=False).value == (given or "None")


@pytest.mark.parametrize("validate", [True, False])
def test_what_a_path_means_is_asked_of_the_place_where_the_command_runs(validate):
    assert value("path", "data.csv", validate=validate).value == "<path a data.csv given>"
    assert value("path", "s3://b/k", validate=validate).value == "<path a s3://b/k given>"
    assert value("{type: path, default: data.csv}", validate=validate).value == "<path a data.csv default>"
    assert value("uri", "data", validate=validate).value == "<uri a data given>"
    assert value("uri", "/data", validate=validate).value == "<uri a /data given>"
    assert value("{type: uri, default: ../x}", validate=validate).value == "<uri a ../x default>"


def test_a_resolved_path_keeps_what_was_given():
    assert value("path", "data.csv").raw == "data.csv"


def test_an_undeclared_parameter_is_a_string():
    invocation = call(main("ls"), parameters={"k": "v w"})
    assert invocation.parameters == (ResolvedParameter("k", "string", "v w", "v w", "Extra"),)


def test_parameters_come_in_the_order_of_declaration_and_then_as_given():
    invocation = call(main("ls", "b: string, a: {default: 1}"), parameters={"z": "1", "a": "2", "c": "3", "b": "4"})
    assert [parameter.name for parameter in invocation.parameters] == ["b", "a", "z", "c"]


@pytest.mark.parametrize(("name", "given"), [("", "x"), ("a\0", "x"), ("a", "\0")])
def test_a_parameter_that_no_command_line_can_hold_is_refused(name, given):
    with pytest.raises(ParameterInvalid, match="has no name, or contains a NUL character"):
        call(main("ls"), parameters={name: given})


def test_the_messages_for_places_are_mlflow_s():
    assert str(no_such_path("data", "x.csv")) == (
        "Got value x.csv for parameter data, but no such file or directory was found."
    )
    assert str(expected_uri("data", "x.csv")) == "Expected URI for parameter data but got x.csv"
    assert {type(no_such_path("a", "b")), type(expected_uri("a", "b"))} == {ParameterInvalid}
