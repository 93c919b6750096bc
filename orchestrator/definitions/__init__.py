"""Definition files: YAML with positions, what each kind may say, the catalogue, locks and settings."""
