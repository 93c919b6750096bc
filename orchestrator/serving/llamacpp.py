"""llama.cpp's own HTTP server (OpenAI's interface, `/health`, `/props`), started through the package xllamacpp.

It listens on the loopback device and computes one answer a stream at once (continuous batching); nothing is kept from
one request to the next.
"""

from __future__ import annotations

import signal
import sys

import xllamacpp

from .arguments import parser, started

CONTEXT_STEP = 256
"""llama.cpp rounds the context of a stream up to a multiple of this."""
PROMPT_STEP = 32
"""Tokens that one step of the server computes: a prompt that comes in holds the other answers up for so long."""


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # before any thread is made: none of them is to take one
    given = parser(__doc__).parse_args()
    options = xllamacpp.CommonParams()
    options.model.path = given.model
    options.model_alias = {given.name}
    options.hostnames, options.port = ["127.0.0.1"], given.port
    options.n_parallel = given.streams
    options.n_ctx = -(-given.context // CONTEXT_STEP) * CONTEXT_STEP * given.streams
    options.n_batch = options.n_ubatch = max(PROMPT_STEP, given.streams)
    options.cpuparams.n_threads = options.cpuparams_batch.n_threads = given.threads
    options.n_gpu_layers = 0
    options.fit_params = False  # the numbers are the recipe's, not what llama.cpp finds fitting
    options.cache_prompt, options.cache_ram_mib = False, 0  # no query profits from another
    options.verbosity = -1  # lines about every request would cost it time
    server = xllamacpp.Server(options)
    sys.stdout.write(started(given))
    sys.stdout.flush()
    signal.sigwait(ends)
    del server
    return 0


if __name__ == "__main__":
    sys.exit(main())
