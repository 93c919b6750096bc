"""`mlorch run`: what a request means, its plan on this host, what comes before its tests, their order and records."""
