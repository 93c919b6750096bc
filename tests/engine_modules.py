"""Which modules of tests/engine start an engine of their own, whose images and folders no other test has."""

OWN_ENGINE = frozenset(
    {"test_docker_private.py", "test_kill_matrix.py", "test_plain_user.py", "test_private_engine.py"}
)
"""They run beside the tests that share an engine, which have one process to themselves."""
