"""What goes wrong in Dockerfiles of benchmarks, as rules; pure: text in, located findings out.

`orchestrator.lint.check.lint` applies them. The rules come from what 83 Dockerfiles of three
rounds of results do (docs/lint.md has them all, with why and what to do).
"""
