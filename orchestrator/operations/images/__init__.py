"""The verbs of `mlorch images`, one module a verb."""
