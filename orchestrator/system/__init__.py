"""The machine: files, processes, clock and host facts."""
