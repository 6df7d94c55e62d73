"""What a ProjectRun means: pure decisions (decide, job, status, situation) and their edges (resolution, controller)."""
