"""What every server of these modules is told on its command line."""

from __future__ import annotations

import argparse


def parser(about: str) -> argparse.ArgumentParser:
    """The options that they share: which model, where, and how much at once."""
    found = argparse.ArgumentParser(description=about)
    found.add_argument("--model", required=True, help="the GGUF file")
    found.add_argument("--name", required=True, help="what clients call it")
    found.add_argument("--port", type=int, required=True, help="of the loopback device")
    found.add_argument("--threads", type=int, required=True, help="that compute")
    found.add_argument("--streams", type=int, required=True, help="answers at once")
    found.add_argument("--context", type=int, required=True, help="tokens of a prompt with its answer")
    return found


def started(given: argparse.Namespace) -> str:
    """The line of the console that says what serves."""
    return f"port {given.port}: {given.name}, threads {given.threads}, answers at once {given.streams}\n"
