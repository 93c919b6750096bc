"""One module a command, each with a `command`; the only place that wires rooms together."""
