<<<<<<< HEAD
"""Carry out plans: builds, runs, searches, and the sweep after a crash."""
=======
"""Carrying plans out: building images, running containers, or printing what would be done."""
>>>>>>> results
