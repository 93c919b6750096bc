"""Never ends, and does not hear that it should."""

import signal
import time

signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    print("still here", flush=True)
    time.sleep(0.5)
