"""The example with which MLflow's documentation introduced projects."""

from __future__ import annotations

from mlp.project import Environment, ResolvedParameter

from .build import call, files

TEXT = """\
name: My Project

conda_env: my_env.yaml

entry_points:
  main:
    parameters:
      data_file: path
      regularization: {type: float, default: 0.1}
    command: "python train.py -r {regularization} {data_file}"
  validate:
    parameters:
      data_file: path
    command: "python validate.py {data_file}"
"""


def test_the_documented_example_means_what_the_documentation_says():
    example = files(TEXT, "my_env.yaml", "train.py", "validate.py")

    training = call(example, parameters={"data_file": "data/wine.csv"})
    validation = call(example, "validate", {"data_file": "it's.csv", "strict": "yes please"})

    assert training.project_name == "My Project"
    assert training.environment == Environment("conda", file="my_env.yaml")
    assert training.command == "python train.py -r 0.1 '<path data_file data/wine.csv given>'"
    assert training.parameters == (
        ResolvedParameter("data_file", "path", "data/wine.csv", "<path data_file data/wine.csv given>", "Spec"),
        ResolvedParameter("regularization", "float", "0.1", "0.1", "Default"),
    )
    assert validation.command == ("""python validate.py '<path data_file it'"'"'s.csv given>' --strict 'yes please'""")
    assert validation.parameters[-1] == ResolvedParameter("strict", "string", "yes please", "yes please", "Extra")
