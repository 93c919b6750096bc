"""Running tests: a container each, a record each, whatever happens."""
