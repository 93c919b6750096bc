"""The verbs of `mlorch assets`, one module a verb."""
