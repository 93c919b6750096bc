"""The official checker of a round, run in its own image, and its verdict beside ours."""
