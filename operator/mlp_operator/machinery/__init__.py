"""What every controller needs and no kind owns: watching, cache, queue, loop, the API server, events, health, metrics."""
