"""The documentation says what is: tables, commands, links and examples are held against the code.

What a document promises in a form that a program can read is read here. Prose is not; that is its reviewers' business.
"""

from __future__ import annotations

import ast
import dataclasses
import itertools
import json
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
from mlp.backends.databricks import configuration
from mlp.backends.databricks.states import Life, state_of
from mlp.cli.application import COMMANDS, application
from mlp.project import TYPES, MappingFiles, Project
from mlp.resources import ConditionType, DatabricksStatus, EventReason, Phase, ProjectRun, Reason, spec
from mlp.resources import names as places
from mlp.resources.databricks import (
    DatabricksBackend,
    DatabricksCluster,
    DatabricksRunAs,
    DatabricksServerless,
    DatabricksTag,
)
from mlp.resources.databricks_rules import DATABRICKS_RULES
from mlp.resources.pod import KubernetesBackend
from mlp.resources.source import ProjectSource
from mlp_operator.machinery.metrics import Metrics
from mlp_operator.runs import remote, volumes
from mlp_operator.runs.actions import Remote
from mlp_operator.runs.job import USER_ERROR_CODES
from mlp_operator.runs.recording import wanted_state
from mlp_operator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").glob("*.md"))
TEXTS = [*DOCS, *(path for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md") if (path := ROOT / name).exists())]
KUBERNETES, PROJECTRUN, OPERATING, PROJECTS, ENVIRONMENTS, DATA, DATABRICKS, CLI = (
    ROOT / "docs" / f"{name}.md"
    for name in ("kubernetes", "projectrun", "operating", "projects", "environments", "data", "databricks", "cli")
)

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

    listed = {names(row[0])[0]: "".join(names(row[1])) for row in table(OPERATING, "Variable", "Default", "Meaning")}
    # All that begins so is one setting: variables of the steps.
    named = {"step_variables": "MLP_STEP_…"}
    assert listed == {
        named.get(field.name, f"MLP_{field.name.upper()}"): shown(field.default)
        for field in dataclasses.fields(Settings)
    }


RIGHTS = {
    "Resource": "operator.yaml",
    "Resource of drivers": "driver-rbac.yaml",
    "Resource of pruning": "env-prune.yaml",
}


@pytest.mark.parametrize(("header", "manifest"), RIGHTS.items(), ids=RIGHTS.values())
def test_rights_are_those_of_the_manifests(header, manifest):
    listed = {
        (group.strip("`").replace("core", ""), names(resource)[0]): set(names(verbs))
        for group, resource, verbs, _ in table(OPERATING, "API group", header, "Verbs", "Why")
    }
    documents = yaml.safe_load_all((ROOT / "deploy" / manifest).read_text())
    (role,) = [document for document in documents if document["kind"] in {"ClusterRole", "Role"}]
    granted = {
        (group, resource): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert listed == granted


def test_metrics_are_listed():
    listed = {names(row[0])[0] for row in table(OPERATING, "Metric", "What it says")}
    kinds = {"counter": "_total"}
    families = Metrics().registry.collect()
    assert listed == {f"{family.name}{kinds.get(family.type, '')}" for family in families}


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
    explained = [names(row[0])[0] for row in table(PROJECTRUN, "Reason", "What it means", "What to do")]
    assert len(explained) == len(set(explained))
    of_tracked = {names(row[0])[0] for row in table(PROJECTRUN, "Reason of `Tracked`", "What it means")}
    given = {Reason[name] for name in given_by_the_operator("Reason")} | reasons_of_errors()
    given |= {errors.WorkspaceDenied.reason, errors.WorkspaceRefused.reason}
    # Of conditions other than Succeeded; the text below the table names them.
    given -= {Reason.RESOLVED, Reason.ADMITTED, Reason.INITIALIZED, Reason.RESUMED}
    # Of versions that do not act on every field.
    given -= {Reason.FIELD_NOT_SUPPORTED}
    assert {*explained, *of_tracked} <= set(Reason)
    assert {*explained, *of_tracked} == given


def test_what_a_run_waits_for_is_said_in_words_that_there_are():
    said = {name for row in table(KUBERNETES, "It says", "Usually", "Way out") for name in names(row[0])}
    explained = {names(row[0])[0] for row in table(PROJECTRUN, "Reason", "What it means", "What to do")}
    assert said <= explained | KUBELETS_OWN


def test_kubelets_own_reasons_are_named():
    source = "".join(path.read_text() for path in (ROOT / "operator" / "mlp_operator" / "runs").glob("*.py"))
    text = PROJECTRUN.read_text()
    for reason in KUBELETS_OWN:
        assert f'"{reason}"' in source
        assert f"`{reason}`" in text


def test_every_event_is_explained_and_exists():
    explained = {name for row in table(PROJECTRUN, "Event", "When") for name in names(row[0])}
    assert explained == {EventReason[name] for name in given_by_the_operator("EventReason")}


def test_phases_and_conditions_are_explained():
    rows = table(PROJECTRUN, "Phase", "Condition `Succeeded`", "In MLflow")
    assert {name for row in rows for name in names(row[0])} == set(Phase)
    assert {row[0].strip("`"): row[2].strip("`") for row in rows} == {phase: wanted_state(phase) for phase in Phase}
    conditions = {name for row in table(PROJECTRUN, "Condition", "Meaning") for name in names(row[0])}
    assert conditions == set(ConditionType)


def errors_of_steps() -> dict[str, type[errors.MlpError]]:
    """What the steps of a pod can fail with, by the reason."""
    kinds = [errors.SourceError, errors.DataError, errors.PreparationError]
    every = [each for kind in kinds for each in (kind, *kind.__subclasses__())]
    return {kind.reason: kind for kind in every if kind is not errors.EngineUnavailable}


def test_exit_codes_of_the_init_container_are_those_of_the_errors():
    rows = [row for row in table(PROJECTRUN, "Exit code of the init container") if row[0].isdecimal()]
    told = {names(meaning)[-1]: (int(code), again != "no") for code, meaning, again in rows}
    assert told == {reason: (kind.exit_code, kind.temporary) for reason, kind in errors_of_steps().items()}
    assert {code for code, again in told.values() if not again} <= set(USER_ERROR_CODES)
    assert not {code for code, again in told.values() if again} & set(USER_ERROR_CODES)


@pytest.mark.parametrize(
    ("text", "kind", "column"), [(ENVIRONMENTS, errors.PreparationError, 2), (DATA, errors.DataError, 1)]
)
def test_reasons_of_steps_have_their_exit_codes(text, kind, column):
    told = {names(row[0])[0]: int(row[column]) for row in table(text, "Reason")}
    wanted = {reason: each.exit_code for reason, each in errors_of_steps().items() if issubclass(each, kind)}
    assert told == wanted


def test_the_paths_of_a_pod_are_listed():
    listed = {names(row[0])[0] for row in table(PROJECTRUN, "Path", "What it is")}
    directories = {value for name, value in vars(places).items() if name.endswith("_DIRECTORY")}
    inside = {places.PROJECT_DIRECTORY, places.HOME_DIRECTORY, places.DATA_DIRECTORY}
    assert listed == {*directories - inside, str(Path(places.AWS_TOKEN_FILE).parent)}
    containers = {names(row[0])[0] for row in table(PROJECTRUN, "Container", "Image")}
    assert containers == {*places.INIT_CONTAINERS, places.MAIN_CONTAINER}
    for volume in volumes.CHANGEABLE:
        assert f"`{volume}" in PROJECTRUN.read_text()


def aliases(*models: type[BaseModel]) -> set[str]:
    """The fields of models, as manifests spell them."""
    return {field.alias or name for model in models for name, field in model.model_fields.items()}


def test_every_field_is_listed():
    rows = table(PROJECTRUN, "Field of `spec`", "What it does")
    listed = {part for row in rows for name in names(row[0]) for part in re.split(r"[.\[\]]+", name)}
    sections = (ProjectSource, spec.Parameter, spec.Experiment, spec.Tracking, spec.DataAccess, spec.Environment)
    assert aliases(spec.ProjectRunSpec, spec.Retention, spec.Backend, *sections) <= listed
    explained = {name for row in rows for name in names(row[1])}
    assert aliases(KubernetesBackend, spec.EnvironmentCache, spec.ParameterSource) <= explained


def test_every_field_for_databricks_is_listed():
    rows = table(PROJECTRUN, "Field of `spec.backend.databricks`", "What it does")
    listed = {part for row in rows for name in names(row[0]) for part in name.split(".") if part}
    inner = (DatabricksCluster, DatabricksServerless, DatabricksRunAs)
    assert listed == aliases(DatabricksBackend, *inner)
    explained = {name for row in rows for name in names(row[1])}
    assert aliases(DatabricksTag) <= explained


def test_fields_that_databricks_does_not_have_are_listed():
    rows = table(PROJECTRUN, "Field of `spec` refused on Databricks", "Instead")
    listed = {name for row in rows for name in names(row[0])}
    for field in filter(None, (rule.field for rule in DATABRICKS_RULES)):
        assert any(name.startswith(field) or field.endswith(f".{name}") for name in listed), field


def test_every_key_of_the_backend_databricks_is_listed():
    listed = {name for row in table(DATABRICKS, "Key for Databricks", "Meaning") for name in names(row[0])}
    assert listed == set(configuration.KEYS)


def test_cluster_specs_are_understood():
    specs = [json.loads(block) for block in blocks(DATABRICKS, "json")]
    specs += [json.loads(words[words.index("-c") + 1]) for words in calls(DATABRICKS) if "-c" in words]
    assert len(specs) > 2
    for each in specs:
        configuration.read_configuration(each)


def runs_for_databricks() -> list[ProjectRun]:
    documents = [document for block in blocks(DATABRICKS, "yaml") for document in yaml.safe_load_all(block)]
    return [ProjectRun.parse(document) for document in documents]


def test_every_way_to_log_in_has_a_manifest():
    found = [run.spec.backend.databricks for run in runs_for_databricks()]
    assert {backend.auth for backend in found if backend} == {None, "OAuthM2M", "WorkloadIdentity"}
    assert {backend.cluster is None for backend in found if backend} == {True, False}


def test_what_databricks_says_becomes_the_phase_and_the_reason_that_are_listed():
    run = runs_for_databricks()[0]
    rows = table(DATABRICKS, "On Databricks", "Phase", "Reason")
    for said in ((words, *map(names, row[1:])) for row in rows for words in names(row[0])):
        life, _, result = said[0].partition(" ")
        state = state_of({"state": {"life_cycle_state": life, **({"result_state": result} if result else {})}})
        situation = (
            remote.outcome_of(run, DatabricksStatus(), Remote("token", state=state)).situation
            if state.life is Life.ENDED
            else remote.progress_of(state)
        )
        assert situation is not None
        assert said[1:] == ([situation.phase], [situation.reason]), said[0]


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
