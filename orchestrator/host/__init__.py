"""The machine: files, processes, host facts, detection, what the site provides."""
