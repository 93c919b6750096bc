"""Whether a run's files are what was recorded, and whether they agree with each other."""
