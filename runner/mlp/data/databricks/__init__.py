"""The two APIs by which a Databricks workspace gives files."""
