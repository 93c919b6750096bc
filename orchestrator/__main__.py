"""`python -m orchestrator` is `mlorch`."""

from orchestrator.cli import main

if __name__ == "__main__":
    main()
