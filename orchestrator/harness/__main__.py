"""``python3 -m mlorch_harness SETTINGS``: exit 0 done, 1 failed, 2 settings refused."""

import os
import sys
import time

START_NS = time.time_ns()

if __name__ == "__main__":
    from .app import main

    code = main(sys.argv[1:], START_NS)
    sys.stdout.flush()
    # LoadGen's and onnxruntime's threads end here; an interpreter that shuts down while
    # one of them is inside a callback aborts (LoadGen 6.0.17).
    os._exit(code)
