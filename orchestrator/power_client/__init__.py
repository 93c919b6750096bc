"""Runs inside the image of MLCommons' power client; imports nothing of the rest of mlorch."""
