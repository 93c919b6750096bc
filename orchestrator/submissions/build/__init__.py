"""From records of runs to the tree of a round: what is taken and what is not, every file, and how it gets there."""
