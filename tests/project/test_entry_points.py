"""Which command an entry point's name leads to: a declared one, a script of the project, or an error with advice."""

from __future__ import annotations

import pytest

from mlp.errors import EntryPointNotFound
from mlp.project import MappingFiles

from .build import call, files, main

SCRIPTS = (
    "train.py",
    "prepare.sh",
    "src/test.py",
    "my script.py",
    "a{b}.py",
    "-c.py",
    "model.R",
    "it's.R",
    "note.ipynb",
)


@pytest.mark.parametrize(
    ("entry_point", "command"),
    [
        ("train.py", "python train.py"),
        ("./train.py", "python ./train.py"),
        ("src/test.py", "python src/test.py"),
        ("src/../train.py", "python src/../train.py"),
        ("my script.py", "python 'my script.py'"),
        ("a{b}.py", "python 'a{b}.py'"),
        ("-c.py", "python ./-c.py"),
        ("prepare.sh", "/bin/zsh prepare.sh"),
        ("model.R", """Rscript -e 'mlflow::mlflow_source('"'"'model.R'"'"')' --args"""),
        ("it's.R", """Rscript -e 'mlflow::mlflow_source('"'"'it\\'"'"'s.R'"'"')' --args"""),
    ],
)
@pytest.mark.parametrize("text", [None, "name: x", main("other")])
def test_a_script_is_run_by_its_path_with_or_without_a_project_file(text, entry_point, command):
    assert call(files(text, *SCRIPTS), entry_point, shell="/bin/zsh").command == command


def test_a_script_takes_every_parameter_as_an_option():
    invocation = call(files(None, *SCRIPTS), "train.py", {"b": "x y", "a": "1"})
    assert invocation.command == "python train.py --b 'x y' --a 1"
    assert {parameter.source for parameter in invocation.parameters} == {"Extra"}


def test_a_shell_whose_path_has_a_space_is_quoted():
    assert call(files(None, *SCRIPTS), "prepare.sh", shell="/opt/my shells/sh").command == (
        "'/opt/my shells/sh' prepare.sh"
    )


def test_a_declared_name_wins_over_a_script():
    of = files("entry_points: {train.py: {command: echo declared}, main: {command: echo main}}", *SCRIPTS)
    assert call(of, "train.py").command == "echo declared"
    assert call(of).command == "echo main"


X4 = (
    "Could not find {0} among entry points {1} or interpret {0} as a runnable script. "
    "Supported script file extensions: ['.py', '.sh']"
)
DECLARED = "entry_points: {main: {command: ls}, evaluate: {command: ls}}"


@pytest.mark.parametrize(
    ("text", "entry_point", "message"),
    [
        (None, "deploy", f"{X4.format('deploy', [])}. The project's scripts are -c.py, a{{b}}.py, it's.R, model.R, "),
        (None, "main", X4.format("main", [])),
        (None, "train", f"{X4.format('train', [])}. Did you mean 'train.py'?"),
        (None, "src/test", f"{X4.format('src/test', [])}. Did you mean 'src/test.py'?"),
        (DECLARED, "note.ipynb", X4.format("note.ipynb", ["main", "evaluate"])),
        (DECLARED, "evalaute", f"{X4.format('evalaute', ['main', 'evaluate'])}. Did you mean 'evaluate'?"),
        (DECLARED, "Main", f"{X4.format('Main', ['main', 'evaluate'])}. Did you mean 'main'?"),
        (DECLARED, "", X4.format("", ["main", "evaluate"])),
        (None, "trian.py", "Could not find trian.py: it is no entry point, and the project has no such file. Did yo"),
        (None, "trian.py", "the project has no such file. Did you mean 'train.py'?"),
        (None, "scripts/train.py", "the project has no such file. Did you mean 'train.py'?"),
        (DECLARED, "main.py", "the project has no such file. Did you mean 'main'?"),
        (None, "zzz.sh", "Could not find zzz.sh: it is no entry point, and the project has no such file."),
        (None, "zzz.R", "the project has no such file."),
        (None, "../train.py", "Entry point ../train.py lies outside the project; give a script's path from the projec"),
        (None, "src/../../x.sh", "lies outside the project"),
        (None, "/etc/x.sh", "lies outside the project"),
    ],
)  # fmt: skip
def test_a_name_that_leads_nowhere_is_refused_with_advice(text, entry_point, message):
    with pytest.raises(EntryPointNotFound) as caught:
        call(files(text, *SCRIPTS), entry_point)
    assert message in str(caught.value)


def test_without_anything_to_advise_the_message_is_mlflow_s():
    with pytest.raises(EntryPointNotFound) as caught:
        call(files(DECLARED), "zzz")
    assert str(caught.value) == X4.format("zzz", ["main", "evaluate"])


def test_a_misnamed_project_file_is_advised_where_its_entry_point_is_missed():
    of = MappingFiles("wine", {"MLproject.yaml": main("ls"), "zzz.py": ""})
    with pytest.raises(EntryPointNotFound, match=r"MLproject\.yaml is ignored.*Rename it to MLproject"):
        call(of)
