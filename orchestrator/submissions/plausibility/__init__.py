"""What is odd about a result although no rule forbids it: hints, which refuse nothing."""
