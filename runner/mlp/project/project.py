"""A project: what its files say it is, and the command that one of its entry points becomes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from mlp.errors import EntryPointNotFound, ProjectInvalid
from mlp.project.entry_point import EntryPoint, is_script, read_entry_point, script
from mlp.project.environment import ENVIRONMENT_KEYS, Environment, conventional_environment, read_environment
from mlp.project.files import is_project_file, project_file
from mlp.project.mlproject import parse
from mlp.project.problems import Findings, Problem
from mlp.project.spark_job import SparkScript, read_spark_job, spark_script
from mlp.project.suggestion import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlp.project.files import Places, ProjectFiles
    from mlp.project.parameters import ResolvedParameter
    from mlp.project.values import Mapping as Spec
    from mlp.project.values import Value

__all__ = ["Invocation", "Project"]

_KEYS: Final = ("name", *ENVIRONMENT_KEYS, "entry_points", "databricks_spark_job")
_IGNORED_FILES: Final = ("mlproject.yaml", "mlproject.yml")


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of one entry point: everything that is needed to execute it.

    Attributes:
        project_name: The project's name.
        entry_point: The entry point's name, or the script's path.
        command: A text for ``bash -c``, to be run in the project's directory.
        parameters: All parameters, declared ones first.
        environment: What the command needs around it.
        warnings: What may not be what the user meant.
    """

    project_name: str
    entry_point: str
    command: str
    parameters: tuple[ResolvedParameter, ...]
    environment: Environment
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Project:
    """What a directory of files is as an MLflow Project.

    Attributes:
        name: From the MLproject file, else the directory's.
        environment: What the file or the conventions ask for.
        entry_points: Those declared. Scripts are entry points without being listed.
        file: The MLproject file's name; None where there is none.
        warnings: What is odd about the project and does not stop it.
        databricks_spark_job: The plain content of that key; None without it.
    """

    name: str
    environment: Environment = field(default_factory=Environment)
    entry_points: Mapping[str, EntryPoint] = field(default_factory=lambda: MappingProxyType({}))
    file: str | None = None
    warnings: tuple[str, ...] = ()
    databricks_spark_job: Mapping[str, Any] | None = None

    @classmethod
    def load(cls, files: ProjectFiles) -> Project:
        """Read a project.

        What is said about single entry points, such as an unknown type, is complained about when that entry point is
        called: a mistake in one must not keep the others from running.

        Raises:
            ProjectInvalid: The MLproject file cannot be understood; the message begins with file:line:column.
        """
        findings = Findings()
        project = _read(files, findings)
        if findings.errors:
            raise findings.errors[0]
        return replace(project, warnings=findings.warnings)

    @classmethod
    def check(cls, files: ProjectFiles) -> tuple[Project, tuple[Problem, ...]]:
        """Look for everything that is wrong with a project, in all of its entry points.

        Returns:
            The project as far as it can be understood, and what is wrong or odd about it in the order of the file.
        """
        findings = Findings()
        project = _read(files, findings)
        for entry_point in project.entry_points.values():
            for fault in entry_point.faults():
                findings.add(fault)
            entry_point.warn(files, findings)
        if project.file is None and not findings.problems and not any(map(is_script, files.root())):
            findings.warn(project._nothing_to_run())  # noqa: SLF001 -- its own
        # What stands behind an alias, or a placeholder that occurs twice, would be said twice.
        problems = sorted(dict.fromkeys(findings.problems), key=lambda found: (found.line or 0, found.column or 0))
        return replace(project, warnings=findings.warnings), tuple(problems)

    @property
    def spark_script(self) -> SparkScript | None:
        """What is run instead of an entry point, by Databricks alone; None for every other project."""
        return spark_script(self.databricks_spark_job)

    def objections(
        self, entry_point: str, parameters: Mapping[str, str | None], *, files: ProjectFiles, places: Places
    ) -> tuple[Problem, ...]:
        """Look for everything that is wrong with a call of a project in which `check` finds nothing.

        Args:
            entry_point: The name of an entry point, or a script's path from the project's root.
            parameters: What the user gives, by name; None is a value that is given and not known here.
            files: The project's files.
            places: What paths and URIs mean where the command will run.
        """
        try:
            found = self._entry_point(entry_point, files, "bash")
        except EntryPointNotFound as error:
            return (Problem.of(error),)
        return tuple(found.objections(parameters, places=places))

    def _nothing_to_run(self) -> str:
        return f"There is no MLproject file and no script in the root of '{self.name}'."

    def resolve(
        self,
        entry_point: str,
        parameters: Mapping[str, str],
        *,
        files: ProjectFiles,
        places: Places,
        shell: str = "bash",
        validate: bool = True,
        references: Mapping[str, str] = MappingProxyType({}),
    ) -> Invocation:
        """Decide what is executed when this entry point is called with these parameters.

        Args:
            entry_point: The name of an entry point, or a script's path from the project's root.
            parameters: What the user gives, by name.
            files: The project's files.
            places: What paths and URIs mean where the command will run.
            shell: The program for .sh files that are entry points.
            validate: Whether values have to fit their types.
            references: For those of the parameters that are secret: by name, the environment variable that will hold
                the value. Such a value is checked; in what is returned, the reference stands in its place.

        Raises:
            EntryPointNotFound: The project has no such entry point.
            ParameterMissing: Parameters without a default were not given.
            ParameterInvalid: A value does not fit.
            ProjectInvalid: The entry point's declaration is at fault.
        """
        found = self._entry_point(entry_point, files, shell)
        filled = found.fill(parameters, places=places, validate=validate, references=references)
        return Invocation(
            project_name=self.name,
            entry_point=entry_point,
            command=filled.command,
            parameters=filled.parameters,
            environment=self.environment,
            warnings=filled.warnings,
        )

    def _entry_point(self, name: str, files: ProjectFiles, shell: str) -> EntryPoint:
        if name in self.entry_points:
            return self.entry_points[name]
        if self.databricks_spark_job is not None:
            if "python_file" in self.databricks_spark_job:
                raise EntryPointNotFound(
                    f"{self.file} describes a databricks_spark_job with a python_file, which the Databricks backend "
                    "alone can run. To run the project elsewhere, give it entry_points instead."
                )
            raise EntryPointNotFound(
                f"The entry point '{name}' is not defined in the Databricks spark job MLproject file."
                f"{did_you_mean(name, self.entry_points)}"
            )
        if is_script(name):
            return script(name, files=files, shell=shell, declared=self.entry_points)
        raise EntryPointNotFound(
            f"Could not find {name} among entry points {list(self.entry_points)} or interpret {name} as a runnable "
            f"script. Supported script file extensions: ['.py', '.sh']{self._advice(name, files)}"
        )

    def _advice(self, name: str, files: ProjectFiles) -> str:
        scripts = sorted(filter(is_script, files.root()))
        completed = next((f"{name}{ending}" for ending in (".py", ".sh") if files.has(f"{name}{ending}")), None)
        if completed is not None:
            return f". Did you mean {completed!r}?"
        if guess := did_you_mean(name, [*self.entry_points, *scripts]):
            return f".{guess}"
        if self.file is None and (misnamed := _misnamed(files)):
            return f". {misnamed[0]}"
        if not self.entry_points and scripts:
            return f". The project's scripts are {', '.join(scripts)}; name one as the entry point."
        if self.file is None:
            return f". {self._nothing_to_run()}"
        return ""


def _read(files: ProjectFiles, findings: Findings) -> Project:
    """The project as far as it can be understood."""
    file = project_file(files.root())
    if file is None:
        for warning in _misnamed(files):
            findings.warn(warning)
        return Project(name=files.name, environment=conventional_environment(files))
    nothing = Project(name=files.name, file=file)
    with findings.apart():
        content = parse(file, _text(files, file)).mapping(
            f"the {file} file", wanted="a mapping with keys such as name and entry_points", findings=findings
        )
        return _read_content(nothing, content, files, findings)
    return nothing


def _read_content(project: Project, content: Spec, files: ProjectFiles, findings: Findings) -> Project:
    for warning in _others(files, str(project.file)):
        findings.warn(warning)
    content.only(_KEYS, findings)
    entry_points: dict[str, EntryPoint] = {}
    with findings.apart():
        entry_points = _read_entry_points(content, findings)
    spark_job = None
    with findings.apart():
        spark_job = read_spark_job(content, entry_points, findings)
    # The keys of an environment beside a Spark job have been complained about.
    environment = Environment() if spark_job is not None else read_environment(content, files, findings)
    name = project.name
    with findings.apart():
        name = _name(content.given("name")) or name
    return replace(
        project,
        name=name,
        environment=environment,
        entry_points=MappingProxyType(entry_points),
        databricks_spark_job=spark_job,
    )


def _read_entry_points(content: Spec, findings: Findings) -> dict[str, EntryPoint]:
    if "entry_points" not in content.entries:
        return {}
    declared = content.entries["entry_points"].mapping(
        "entry_points", wanted="a mapping from names to commands", findings=findings
    )
    entry_points: dict[str, EntryPoint] = {}
    for name, value in declared.entries.items():
        with findings.apart():
            entry_points[name] = read_entry_point(name, value, findings)
    return entry_points


def _text(files: ProjectFiles, file: str) -> str:
    try:
        return files.text(file)
    except UnicodeDecodeError as error:
        raise ProjectInvalid(f"{file} is not UTF-8: {error.reason} at byte {error.start}.") from error
    except (KeyError, OSError) as error:
        raise ProjectInvalid(f"{file} cannot be read: {error}") from error


def _name(value: Value | None) -> str | None:
    if value is None:
        return None
    if value.text is None:
        raise value.no_text("the project's name")
    return value.text  # as written: 1.10 stays 1.10


def _misnamed(files: ProjectFiles) -> tuple[str, ...]:
    """Files that were probably meant to describe the project. Neither MLflow nor we read them."""
    return tuple(
        f"{name} is ignored: the file that describes a project is called MLproject. Rename it to MLproject."
        for name in sorted(files.root())
        if name.lower() in _IGNORED_FILES
    )


def _others(files: ProjectFiles, file: str) -> tuple[str, ...]:
    return tuple(
        f"{name} is ignored, as there is also {file}."
        for name in sorted(files.root())
        if is_project_file(name) and name != file
    )
