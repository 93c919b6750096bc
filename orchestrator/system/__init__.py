"""The machine: files, processes, host facts, what the site provides. No containers here."""
