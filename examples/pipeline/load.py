"""Write a table of raw measurements: patients with diabetes, ten columns and the target (shipped with scikit-learn)."""

from __future__ import annotations

import argparse
import io

import mlflow
import numpy as np
from sklearn.datasets import load_diabetes

parser = argparse.ArgumentParser()
parser.add_argument("--rows", type=int, required=True)
arguments = parser.parse_args()

data = load_diabetes(scaled=False)
table = np.column_stack([data.data, data.target])[: arguments.rows]
text = io.StringIO()
np.savetxt(text, table, delimiter=",", header=",".join([*data.feature_names, "target"]), comments="")

# Resumes the run that mlp has begun: the parameters stand there already.
with mlflow.start_run():
    mlflow.log_text(text.getvalue(), "table.csv")
    mlflow.log_metric("rows", len(table))
