"""The controller of ProjectRun resources: kopf watches, decisions are pure functions, one adapter talks to the API server."""
