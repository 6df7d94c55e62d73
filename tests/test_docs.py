"""The documentation says what is: tables, commands, links and examples are held against the code.

What a document promises in a form that a program can read is read here. Prose is not; that is its reviewers' business.
"""

from __future__ import annotations

import ast
import dataclasses
import itertools
import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
import yaml

import mlp
from mlp import errors
from mlp.cli.application import COMMANDS, application
from mlp.project import TYPES, MappingFiles, Project
from mlp.resources import ConditionType, EventReason, Phase, ProjectRun, Reason
from mlp_operator.runs.planning import refuse_unsupported
from mlp_operator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").glob("*.md"))
TEXTS = [*DOCS, *(path for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md") if (path := ROOT / name).exists())]
KUBERNETES, PROJECTS, CLI = (ROOT / "docs" / name for name in ("kubernetes.md", "projects.md", "cli.md"))

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
KUBELETS_OWN = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}

each_text = pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.name)


def blocks(path: Path, *languages: str) -> list[str]:
    return [body for language, body in FENCE.findall(path.read_text()) if language in languages]


def table(path: Path, *header: str) -> list[list[str]]:
    """The cells of the one table whose header begins with these cells."""
    found = []
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines):
        if cells(line)[: len(header)] == list(header):
            rows = []
            for row in lines[number + 2 :]:
                if not row.startswith("|"):
                    break
                rows.append(cells(row))
            found.append(rows)
    assert len(found) == 1, f"{path.name} has {len(found)} tables that begin with {header}"
    return found[0]


def cells(line: str) -> list[str]:
    parts = re.split(r"(?<!\\)\|", line.strip())
    return [part.strip() for part in parts[1:-1]]


def names(cell: str) -> list[str]:
    """What stands in a cell as code."""
    return re.findall(r"`([^`]+)`", cell)


def option_table(command: click.Command) -> str:
    """A command's options as docs/cli.md has to show them."""
    context = click.Context(command)
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    records = [record for option in options if (record := option.get_help_record(context))]
    rows = [
        f"| `{names.replace('|', chr(92) + '|')}` | {re.sub(r'  +', ' ', text).replace('|', chr(92) + '|')} |"
        for names, text in records
    ]
    return "\n".join(["| Option | Meaning |", "|---|---|", *rows])


def calls(path: Path) -> Iterator[list[str]]:
    """Every call of mlp in a document, as words: whole ones from console blocks, mentions from code within lines."""
    lines = [line for block in blocks(path, "console", "sh") for line in block.replace("\\\n", " ").splitlines()]
    for line in lines:
        yield from call(line)
    for mention in re.findall(r"`((?:kubectl )?mlp [^`\n]+)`", FENCE.sub("", path.read_text())):
        for words in call(mention.replace("\\|", "|")):
            # `mlp run -f` speaks of an option and leaves its value out.
            yield [*words, "VALUE"] if words[-1].startswith("-") else words


def call(line: str) -> Iterator[list[str]]:
    """The arguments of mlp, if that is what a line calls."""
    lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words = list(itertools.takewhile(lambda word: not set(word) <= set("|&;<>"), lexer))
    words = words[1:] if words[:2] == ["kubectl", "mlp"] else words
    if words[:1] == ["mlp"] and len(words) > 1:
        yield words[1:]


def slug(heading: str) -> str:
    """The anchor that a heading gets."""
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
    return re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")


def anchors(path: Path) -> set[str]:
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text()), re.MULTILINE)}


@each_text
def test_relative_links_lead_somewhere(text):
    for target in LINK.findall(FENCE.sub("", text.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (text.parent / name).resolve() if name else text
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_documents_that_files_refer_to_exist():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    missing = {}
    for name in filter(None, listed.split("\0")):
        file = ROOT / name
        if file == Path(__file__) or not file.is_file() or file.suffix in {".lock", ".sum"}:
            continue
        for document in re.findall(r"(?<![\w/.])docs/[\w-]+\.md", file.read_text(errors="replace")):
            if not (ROOT / document).exists():
                missing.setdefault(document, []).append(name)
    assert missing == {}


@each_text
def test_commands_exist_with_the_options_that_are_used(text):
    for name, *arguments in calls(text):
        if name.startswith("-") or name == "COMMAND":
            continue
        assert name in COMMANDS, name
        command = COMMANDS[name].load()
        try:
            command.make_parser(click.Context(command)).parse_args(arguments)
        except click.UsageError as error:
            pytest.fail(f"mlp {shlex.join([name, *arguments])}: {error.format_message()}")


def test_calls_are_found_at_all():
    found = {words[0] for text in TEXTS for words in calls(text)}
    assert set(COMMANDS) <= found


@pytest.mark.parametrize("name", COMMANDS)
def test_the_options_of_each_command_are_listed(name):
    section = re.search(rf"^## mlp {name}\n(.*?)(?=^## |\Z)", CLI.read_text(), re.MULTILINE | re.DOTALL)
    assert section, f"docs/cli.md has no section 'mlp {name}'"
    command = COMMANDS[name].load()
    assert option_table(command) in section[1]
    usage = " ".join(["mlp", name, *command.collect_usage_pieces(click.Context(command))])
    assert f"`{usage}`" in section[1]


def test_every_command_has_a_section_and_no_other_has():
    assert re.findall(r"^## mlp (\w+)$", CLI.read_text(), re.MULTILINE) == list(COMMANDS)


def test_exit_statuses_are_those_of_the_help():
    listed = {row[0] for row in table(CLI, "Exit status")}
    said = re.search(r"Exit status: (.*?)\.", str(application.epilog))
    assert said
    assert listed == set(re.findall(r"\b\d+\b", said[1]))


def test_the_table_of_settings_is_the_dataclass():
    def shown(value: object) -> str:
        match value:
            case bool():
                return str(value).lower()
            case float():
                return f"{value:g}"
            case tuple():
                return ",".join(value)
        return str(value)

    listed = {names(row[0])[0]: "".join(names(row[1])) for row in table(KUBERNETES, "Variable", "Default", "Meaning")}
    assert listed == {f"MLP_{field.name.upper()}": shown(field.default) for field in dataclasses.fields(Settings)}


def test_the_operators_rights_are_those_of_its_manifest():
    listed = {
        (group.strip("`").replace("core", ""), names(resource)[0]): set(names(verbs))
        for group, resource, verbs, _ in table(KUBERNETES, "API group", "Resource", "Verbs", "Why")
    }
    documents = yaml.safe_load_all((ROOT / "deploy/operator.yaml").read_text())
    (role,) = [document for document in documents if document["kind"] == "ClusterRole"]
    granted = {
        (group, resource): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert listed == granted


def given_by_the_operator(vocabulary: str) -> set[str]:
    """The members of an enumeration that the operator's code names."""
    sources = [path.read_text() for path in (ROOT / "operator" / "mlp_operator").rglob("*.py")]
    return {name for source in sources for name in re.findall(rf"\b{vocabulary}\.([A-Z_]+)", source)}


def reasons_of_errors() -> set[str]:
    """The reasons of what can be wrong with a run's source, project and spec."""
    kinds: list[type[errors.MlpError]] = [errors.UsageError, errors.ProjectError, errors.SourceError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return {kind.reason for kind in kinds}


def test_every_reason_is_explained_and_exists():
    explained = [names(row[0])[0] for row in table(KUBERNETES, "Reason", "What it means", "What to do")]
    assert len(explained) == len(set(explained))
    given = {Reason[name] for name in given_by_the_operator("Reason")} | reasons_of_errors()
    # Of conditions other than Succeeded; the text below the table names them.
    given -= {Reason.RESOLVED, Reason.INITIALIZED}
    assert set(explained) <= set(Reason)
    assert set(explained) == given


def test_kubelets_own_reasons_are_named():
    source = "".join(path.read_text() for path in (ROOT / "operator" / "mlp_operator" / "runs").glob("*.py"))
    text = KUBERNETES.read_text()
    for reason in KUBELETS_OWN:
        assert f'"{reason}"' in source
        assert f"`{reason}`" in text


def test_every_event_is_explained_and_exists():
    explained = {name for row in table(KUBERNETES, "Event", "When") for name in names(row[0])}
    assert explained == {EventReason[name] for name in given_by_the_operator("EventReason")}


def test_phases_and_conditions_are_explained():
    phases = {name for row in table(KUBERNETES, "Phase") for name in names(row[0])}
    assert phases == set(Phase) - {Phase.QUEUED}  # there are no queues yet
    conditions = {name for row in table(KUBERNETES, "Condition", "Meaning") for name in names(row[0])}
    assert conditions == set(ConditionType) - {ConditionType.ADMITTED}


def test_exit_codes_of_the_init_container_are_those_of_the_errors():
    by_reason = {kind.reason: kind for kind in (errors.SourceError, *errors.SourceError.__subclasses__())}
    rows = [row for row in table(KUBERNETES, "Exit code of the init container") if row[0].isdecimal()]
    told = {names(meaning)[-1]: (int(code), again != "no") for code, meaning, again in rows}
    assert told == {reason: (kind.exit_code, kind.temporary) for reason, kind in by_reason.items()}


def test_fields_that_are_refused_are_listed():
    def refused(**spec: object) -> Iterable[str]:
        spec.setdefault("project", {"uri": "https://git.example.com/a.git", "lfs": True})
        run = ProjectRun.parse({"apiVersion": "mlp.dev/v1alpha1", "kind": "ProjectRun", "metadata": {}, "spec": spec})
        with pytest.raises(errors.FieldNotSupported) as caught:
            refuse_unsupported(run)
        said = str(caught.value).partition("does not act on ")[2].partition(". Create")[0]
        return [re.sub(r"\[[^]]+\]", "[]", field) for field in said.split(", ")]

    found = {
        *refused(
            parameters=[{"name": "a", "valueFrom": {"configMapKeyRef": {"name": "x", "key": "y"}}}],
            experiment={"name": "x"},
            tracking={"uri": "https://mlflow.example.com"},
            data={"secretRef": {"name": "x"}},
            environment={"manager": "Conda", "cache": {"policy": "Refresh"}},
            backend={"kubernetes": {"podTemplate": {}}},
            queueName="x",
            queuePriorityClassName="x",
        ),
        *refused(
            project={"bundle": {"configMapName": "x", "sha256": "0" * 64}},
            environment={"manager": "Virtualenv"},
            backend={"type": "Databricks", "databricks": {"serverless": {}}},
        ),
    }
    assert {names(row[0])[0] for row in table(KUBERNETES, "Refused")} == found


def test_parameter_types_are_listed():
    assert [names(row[0])[0] for row in table(PROJECTS, "Type", "Accepted")] == list(TYPES)


@each_text
def test_manifests_are_valid(text):
    for block in blocks(text, "yaml"):
        for document in yaml.safe_load_all(block):
            if document.get("kind") == "ProjectRun":
                ProjectRun.parse(document)


def test_projects_are_valid():
    projects = [block for block in blocks(PROJECTS, "yaml") if "entry_points:" in block]
    assert projects
    for block in projects:
        assert not Project.load(MappingFiles("example", {"MLproject": block})).warnings


@each_text
def test_python_calls_what_there_is(text):
    for block in blocks(text, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "mlp":
                assert hasattr(mlp, node.attr), node.attr
