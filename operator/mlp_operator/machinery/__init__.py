"""What every controller needs and no kind owns: watches, cache, queue, loop, API server, events, health, metrics."""
