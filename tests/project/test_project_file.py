"""Which file describes a project, what its keys mean, and what is said about one that can't be understood."""

from __future__ import annotations

import pytest

from mlp.errors import ProjectInvalid
from mlp.project import MappingFiles, Project, is_project_file
from mlp.project.mlproject import parse_documents

from .build import call, files, load, main


@pytest.mark.parametrize("name", ["MLproject", "mlproject", "MLPROJECT", "MlProject"])
def test_the_file_is_found_in_any_case(name):
    project = Project.load(MappingFiles("wine", {name: "name: Wine"}))
    assert (project.name, project.file) == ("Wine", name)
    assert is_project_file(name)


@pytest.mark.parametrize("name", ["MLproject.yaml", "mlproject.yml", "src/MLproject", "MLproject.bak"])
def test_no_other_file_describes_a_project(name):
    project = Project.load(MappingFiles("wine", {name: "name: Other"}))
    assert (project.name, project.file) == ("wine", None)
    assert not is_project_file(name)


@pytest.mark.parametrize("name", ["MLproject.yaml", "MLproject.yml", "mlproject.YAML"])
def test_a_file_with_an_ending_is_ignored_and_that_is_said(name):
    (warning,) = Project.load(MappingFiles("wine", {name: "name: Other"})).warnings
    assert warning == (
        f"{name} is ignored: the file that describes a project is called MLproject. Rename it to MLproject."
    )
    # With an MLproject beside it there is no doubt which one counts.
    assert Project.load(MappingFiles("wine", {name: "", "MLproject": "name: Wine"})).warnings == ()


def test_of_two_files_the_usual_spelling_counts_and_the_other_is_named():
    project = Project.load(MappingFiles("wine", {"MLPROJECT": "name: A", "MLproject": "name: B", "mlproject": "- c"}))
    assert project.name == "B"
    assert project.warnings == (
        "MLPROJECT is ignored, as there is also MLproject.",
        "mlproject is ignored, as there is also MLproject.",
    )


def test_without_the_usual_spelling_the_choice_is_the_same_everywhere():
    assert Project.load(MappingFiles("wine", {"mlproject": "name: A", "MLPROJECT": "name: B"})).name == "B"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("name: My Project", "My Project"),
        ("name: 2024", "2024"),
        ("name: 1.10", "1.10"),
        ("name: yes", "yes"),
        ("name: weiße Trauben", "weiße Trauben"),
        ("name:", "wine"),
        ("name: ''", "wine"),
        ("{}", "wine"),
        ("conda_env:", "wine"),
    ],
)
def test_the_name_is_as_written_or_the_directory_s(text, name):
    assert load(text).name == name


def test_entry_points_keep_the_order_of_the_file():
    project = load("entry_points: {b: {command: x}, a: {command: y}, c: {command: z}}")
    assert list(project.entry_points) == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # The file as a whole.
        ("", "MLproject:1:1: the MLproject file is empty, but it must be a mapping"),
        ("# nothing\n# here\n", "the MLproject file is empty, but it must be a mapping"),
        ("null", "MLproject:1:1: the MLproject file is empty"),
        ("- name: x", "MLproject:1:1: the MLproject file is a list"),
        ("just words", "MLproject:1:1: the MLproject file is a text"),
        ("7", "MLproject:1:1: the MLproject file is a number"),
        ("name: [a]", "MLproject:1:7: the project's name is a list, but it must be a text."),
        ("1: x", "MLproject:1:1: a key of the MLproject file is a number, but it must be a text; put 1 in quotes."),
        ("on: x", "MLproject:1:1: a key of the MLproject file is a boolean, but it must be a text; put on in quotes."),
        ("? [a]\n: x", "MLproject:1:3: not readable as YAML: while constructing a mapping: found unhashable key."),
        # YAML that is none.
        ("a: b: c", "MLproject:1:5: not readable as YAML: mapping values are not allowed here (a text that contains"),
        ("a:\n\tb: c", "MLproject:2:1: not readable as YAML: while scanning for the next token: found character"),
        ("{", "MLproject:1:2: not readable as YAML: while parsing a flow node"),
        ("name: x\n---\nname: y", "MLproject:2:1: not readable as YAML: expected a single document in the stream: but"),
        ("name: 'x", "MLproject:1:9: not readable as YAML: while scanning a quoted scalar"),
        ("name: 'x\n\ny: z", "MLproject:3:5: not readable as YAML: while scanning a quoted scalar that begins at 1:7"),
        ("name: *x", "MLproject:1:7: not readable as YAML: found undefined alias"),
        ("name: x\nbell: \a", "MLproject:2:7: the character '\\x07' is not allowed in YAML."),
        (main("{x} train.py"), "MLproject:3:18: not readable as YAML: while parsing a block mapping"),
        (main('"python" train.py'), "a text that begins with a quote or a brace has to be quoted whole"),
        # YAML that is no plain data.
        ("name: 2024-13-45", "MLproject:1:7: not readable as YAML: '2024-13-45' is not a valid timestamp; put it"),
        ("name: 0x_", "MLproject:1:7: not readable as YAML: '0x_' is not a valid int"),
        ("name: !!bool perhaps", "MLproject:1:7: not readable as YAML: 'perhaps' is not a valid bool"),
        ("name: !!timestamp soon", "MLproject:1:7: not readable as YAML: 'soon' is not a valid timestamp"),
        (f"name: {'9' * 5000}", "is not a valid int"),
        ("name: !!python/object:os.system x", "MLproject:1:7: not readable as YAML: could not determine a constructor"),
        # What a stranger may send to the operator.
        ("a: &a [*a]", "MLproject:1:4: a value must not contain itself."),
        ("[" * 5000, "MLproject: values are nested too deeply."),
        ("# " + "x" * 300_000, "MLproject is 300002 characters long; more than 262144 are not read."),
        ("a: &a [" + "x," * 1000 + "]\nb: &b [" + "*a," * 1000 + "]\nc: [" + "*b," * 1000 + "]", "aliases make"),
        ("a: &a " + "x" * 100_000 + "\nb: [" + "*a," * 1000 + "]", "aliases make this value too large."),
        # Keys.
        ("name: x\nentrypoints: {}", "MLproject:2:1: the MLproject file has no key 'entrypoints'. Did you mean 'entry"),
        ("Name: x", "MLproject:1:1: the MLproject file has no key 'Name'. Did you mean 'name'?"),
        ("conda: c.yaml", "has no key 'conda'. Did you mean 'conda_env'?"),
        ("docker: {image: x}", "has no key 'docker'. Did you mean 'docker_env'?"),
        # Entry points.
        ("entry_points:", "MLproject:1:14: entry_points is empty, but it must be a mapping from names to commands."),
        ("entry_points: [main]", "MLproject:1:15: entry_points is a list"),
        ("entry_points: main.py", "MLproject:1:15: entry_points is a text"),
        ("entry_points:\n  main:\n", "MLproject:2:8: entry point 'main' is empty, but it must be a mapping with a com"),
        ("entry_points:\n  main: python x.py", "MLproject:2:9: entry point 'main' is a text, but it must be a mapping"),
        ("entry_points:\n  main: [x]", "MLproject:2:9: entry point 'main' is a list"),
        ("entry_points:\n  1: {command: x}", "MLproject:2:3: a key of entry_points is a number"),
        ("entry_points:\n  main: {}", "MLproject:2:9: entry point 'main' has no command."),
        ("entry_points:\n  main:\n    parameters: {}", "MLproject:3:5: entry point 'main' has no command."),
        ("entry_points: {main: {command: }}", "the command of entry point 'main' is empty, but it must be a text."),
        ("entry_points: {main: {command: ' '}}", "MLproject:1:32: the command of entry point 'main' is empty."),
        ("entry_points: {main: {command: true}}", "MLproject:1:32: the command of entry point 'main' is a boolean, bu"),
        ("entry_points: {main: {command: [ls]}}", "the command of entry point 'main' is a list, but it must be a text"),
        ("entry_points: {main: {comand: ls}}", "MLproject:1:23: entry point 'main' has no key 'comand'. Did you mean"),
        ("entry_points: {main: {command: ls, params: {}}}", "has no key 'params'. Did you mean 'parameters'?"),
        # Parameters.
        (
            "entry_points:\n  main:\n    parameters:\n    command: ls",
            "MLproject:3:16: 'parameters' of entry point 'main' is empty, but it must be a mapping from names to types",
        ),
        (main("ls", "").replace("command", "parameters: [a]\n    command"), "is a list, but it must be a mapping from"),
        (main("ls", "a"), "MLproject:3:19: the declaration of parameter 'a' is empty, but it must be a type or"),
        (main("ls", "a: "), "the declaration of parameter 'a' is empty, but it must be a type or"),
        (main("ls", "a: 0.5"), "MLproject:3:21: the declaration of parameter 'a' is a number, but it must be a type"),
        (main("ls", "a: 0.5"), "if 0.5 is the default, write {default: 0.5}."),
        (main("ls", "a: [float]"), "the declaration of parameter 'a' is a list"),
        (main("ls", "1: float"), "is a number, but it must be a text; put 1 in quotes."),
        (main("ls", "a: {type: }"), "the type of parameter 'a' is empty, but it must be a type's name."),
        (main("ls", "a: {type: [int]}"), "MLproject:3:28: the type of parameter 'a' is a list"),
        (main("ls", "a: {tpye: int}"), "MLproject:3:22: the declaration of parameter 'a' has no key 'tpye'. Did you m"),
        (main("ls", "a: {type: int, defualt: 1}"), "has no key 'defualt'. Did you mean 'default'?"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_understood_is_refused_with_the_place_and_the_reason(text, message):
    with pytest.raises(ProjectInvalid) as caught:
        load(text)
    assert message in str(caught.value)
    assert "MLproject" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("author: Ann", "MLproject:1:1: 'author' in the MLproject file is ignored; the keys known are name, python_en"),
        ("name: x\nuv_env: uv.lock", "MLproject:2:1: 'uv_env' in the MLproject file is ignored"),
        ("name: x\nname: y", "MLproject:2:1: 'name' is given twice in the MLproject file; the last one counts."),
        ("entry_points: {main: {command: ls, note: x}}", "MLproject:1:36: 'note' in entry point 'main' is ignored"),
        ("entry_points: {a: {command: ls}, a: {command: ls}}", "MLproject:1:34: 'a' is given twice in entry_points"),
        (main("ls", "a: {type: int, help: x}"), "MLproject:3:33: 'help' in the declaration of parameter 'a' is ignore"),
        (main("ls", "a: int, a: float"), "MLproject:3:26: 'a' is given twice in 'parameters' of entry point 'main'"),
    ],
)  # fmt: skip
def test_what_mlflow_ignores_is_ignored_with_a_warning(text, warning):
    (said,) = load(text).warnings
    assert said.startswith(warning)


def test_of_a_key_that_is_given_twice_the_last_one_counts():
    assert load("name: x\nname: y").name == "y"


def test_merged_mappings_count_as_they_do_in_yaml():
    text = """\
entry_points:
  main: &main
    parameters: {a: {type: int, default: 1}}
    command: ls {a}
  other:
    <<: *main
    command: rm {a}
"""
    assert load(text).warnings == ()
    assert call(text, "other").command == "rm 1"


def test_a_mistake_in_one_entry_point_does_not_keep_the_others_from_running():
    text = """\
entry_points:
  main: {command: "true"}
  other: {parameters: {a: {type: flaot, default: x}}, command: "awk '{print $1}' {b}"}
"""
    assert call(text).command == "true"
    with pytest.raises(ProjectInvalid, match="flaot"):
        call(text, "other")


class Unreadable(MappingFiles):
    """Files of which one can be listed and not read."""

    def text(self, path: str) -> str:
        raise self.texts[path]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "MLproject is not UTF-8: invalid start byt"),
        (PermissionError(13, "Permission denied"), "MLproject cannot be read: .*Permission denied"),
        (KeyError("MLproject"), "MLproject cannot be read: 'MLproject'"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_says_why(error, message):
    with pytest.raises(ProjectInvalid, match=message):
        Project.load(Unreadable("wine", {"MLproject": error}))


def test_a_byte_order_mark_is_no_part_of_the_text():
    assert load("\ufeffname: Wine").name == "Wine"


def test_files_in_memory_know_their_root():
    of = files("name: x", "a.py", "src/b.py")
    assert set(of.root()) == {"MLproject", "a.py"}
    assert of.has("src/b.py")
    assert not of.has("b.py")


def test_a_file_of_several_documents_is_read_with_places():
    documents = parse_documents("x.yaml", "---\na: {b: [1, 2]}\n---\n# nothing\n---\nc: 1\nc: 2\n")

    assert [document.data for document in documents] == [{"a": {"b": [1, 2]}}, {"c": 2}]
    assert [str(documents[0].place(path)) for path in (["a", "b", 1], ["a", "z"], ["a", "b", 7, "x"], [])] == [
        "x.yaml:2:12",
        "x.yaml:2:1",
        "x.yaml:2:5",
        "x.yaml:2:1",
    ]
    assert [(key, str(place)) for document in documents for key, place in document.repeated_keys()] == [
        ("c", "x.yaml:7:1")
    ]


def test_a_mistake_in_a_later_document_has_its_place():
    with pytest.raises(ProjectInvalid, match=r"^x\.yaml:3:5: not readable as YAML: mapping values are not allowed"):
        parse_documents("x.yaml", "a: 1\n---\nb: c: d\n")
