"""What CI systems read in a log, and the workflows that mlorch writes for them. Pure: text in, text out.

`orchestrator.console` prints what `markers` makes; nothing of it appears outside CI or with --json.
"""
