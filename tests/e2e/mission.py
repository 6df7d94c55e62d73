"""A project that needs everything: data from two stores, a conda environment with a pip section, a tracking server.

It also looks at all that it can read where its code runs: in main, and while its own package is built for the
environment. What it found in main stands in main's log, the other in the package's module ``looked``. Passwords that
are given to the very place are masked there, so that a test can look for all of them everywhere.
"""

from __future__ import annotations

from typing import Final

SPY: Final = '''\
"""Everything that a process here can read and that others may have left."""

import os, pathlib, re

PLACES = ("/mlp/credentials", "/mlp/plan", "/mlp/bundle", "/mlp/run/home", "/mlp/run/data", "/tmp", "/run/secrets",
          "/var/run/secrets", "/etc/gitconfig")

def look(own):
    found = [f"environment {dict(os.environ)}"]
    for place in PLACES:
        for path in (pathlib.Path(place), *pathlib.Path(place).rglob("*")):
            try:
                if path.is_file():
                    found.append(f"{path} {path.read_text(errors='replace')}")
                elif path.exists():
                    found.append(f"{path} {sorted(os.listdir(path))}")
            except OSError as error:
                found.append(f"{path} {error}")
    for path in pathlib.Path("/mlp/run/project").rglob("config"):
        found.append(f"{path} {path.read_text(errors='replace')}")
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                found.append(f"{process / name} {(process / name).read_bytes()}")
            except OSError as error:
                found.append(f"{process / name} {error}")
    return re.sub(own + "-[0-9a-f]{24}", "MASKED", "\\n".join([*found, "THE SPY HAS LOOKED"]))
'''

BACKEND: Final = """\
import os, zipfile
import spy

def build_wheel(directory, config_settings=None, metadata_directory=None):
    name, info = "looked-1.0-py3-none-any.whl", "looked-1.0.dist-info"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
        wheel.writestr("looked.py", f"found = {spy.look('pk')!r}\\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: looked\\nVersion: 1.0\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", f"looked.py,,\\n{info}/METADATA,,\\n{info}/WHEEL,,\\n{info}/RECORD,,\\n")
    return name
"""

TRAIN: Final = """\
import csv, json, pathlib, sys, tempfile
import mlflow, words
from mlflow.entities import LoggedModelOutput
from mlflow.models import Model
import spy

table, weights, rate = sys.argv[1], sys.argv[2], float(sys.argv[3])
with open(table) as file:
    rows = [(float(row["x"]), float(row["y"])) for row in csv.DictReader(file)]
slope = json.loads(pathlib.Path(weights).read_text())["slope"]
with mlflow.start_run() as run:
    for step in range(3):
        slope += rate * sum((y - slope * x) * x for x, y in rows) / sum(x * x for x, _ in rows)
        mlflow.log_metric("slope", slope, step=step)
    client = mlflow.MlflowClient()
    model = client.create_logged_model(run.info.experiment_id, name="line", source_run_id=run.info.run_id)
    with tempfile.TemporaryDirectory() as directory:
        pathlib.Path(directory, "weights.json").write_text(json.dumps({"slope": slope}))
        description = Model(run_id=run.info.run_id, model_id=model.model_id)
        description.add_flavor("line", weights="weights.json")
        description.save(f"{directory}/MLmodel")
        client.log_model_artifacts(model.model_id, directory)
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, step=2)])
print("MODEL", model.model_id, words.version)
print(spy.look("ml"))
"""

TABLE: Final = "x,y\n1,2\n2,4\n3,6\n"
WEIGHTS: Final = '{"slope": 0.0}'
SLOPES: Final = [1.0, 1.5, 1.75]
"""What it logs for these."""

FILES: Final = {
    "MLproject": """\
name: mission
conda_env: conda.yaml
entry_points:
  main:
    parameters:
      table: path
      weights: path
      rate: {type: float, default: 0.5}
    command: "python train.py {table} {weights} {rate}"
""",
    "conda.yaml": """\
channels: []
dependencies:
  - python
  - words=1
  - pip: [mlflow-skinny, ./looked]
""",
    "train.py": TRAIN,
    "spy.py": SPY,
    "looked/pyproject.toml": """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "looked"
version = "1.0"
""",
    "looked/backend.py": BACKEND,
    "looked/spy.py": SPY,
}
