"""A row of a summary explained: which lines of which files it comes from, how, and which rules were looked at."""
