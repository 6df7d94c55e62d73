"""Runs on Databricks: one library for the laptop and for the operator.

A run is one submission to the Jobs API, known by an idempotency token from before it is sent, so that however often it
is sent there is one run. Its project goes there packed, with a small program that runs it as `mlp run` would
(`arriving`). What a run is made from is in `task`, what Databricks says of it in `states`; `workspace` is the only
module that sends requests.
"""
