"""The controller of ProjectRun resources: kopf watches, pure functions decide, one adapter talks to the API server."""
