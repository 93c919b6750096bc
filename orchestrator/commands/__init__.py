"""One module a command, or several of one topic; options and views, and nothing else."""
