"""Frozen values that travel between rooms: steps, records, devices, what is known of a host."""
