"""Carry out plans: builds, runs, searches, and the sweep after a crash."""
