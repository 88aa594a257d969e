"""The shop as a client sees it: what the demo, the journeys, the load tests and the benchmark call it with."""
