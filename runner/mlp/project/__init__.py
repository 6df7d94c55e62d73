"""What a project is: the MLproject file, the conventions without one, entry points, parameters and the command.

Pure: text in, values out. It opens no file, runs no program and asks no server, so the command line, the operator and
the tests get the same answer from it. See `mlp.project.files` for how the world is brought in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlp.lazily import lazily

if TYPE_CHECKING:
    from mlp.project.entry_point import EntryPoint, is_script
    from mlp.project.environment import Environment
    from mlp.project.files import MappingFiles, Places, ProjectFiles, is_project_file
    from mlp.project.parameters import (
        TYPES,
        Parameter,
        ResolvedParameter,
        expected_uri,
        no_such_path,
        without_file_scheme,
    )
    from mlp.project.problems import Problem
    from mlp.project.project import Invocation, Project

__all__ = [
    "TYPES",
    "EntryPoint",
    "Environment",
    "Invocation",
    "MappingFiles",
    "Parameter",
    "Places",
    "Problem",
    "Project",
    "ProjectFiles",
    "ResolvedParameter",
    "expected_uri",
    "is_project_file",
    "is_script",
    "no_such_path",
    "without_file_scheme",
]

__getattr__ = lazily(
    __name__,
    {
        "entry_point": ("EntryPoint", "is_script"),
        "environment": ("Environment",),
        "files": ("MappingFiles", "Places", "ProjectFiles", "is_project_file"),
        "parameters": (
            "TYPES",
            "Parameter",
            "ResolvedParameter",
            "expected_uri",
            "no_such_path",
            "without_file_scheme",
        ),
        "problems": ("Problem",),
        "project": ("Invocation", "Project"),
    },
)
