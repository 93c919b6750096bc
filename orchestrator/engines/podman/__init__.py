"""podman: the same as Docker, through its program."""
