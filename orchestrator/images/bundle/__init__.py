"""Everything that benchmarks need in one file, for machines with no network: written by one, taken in by another."""
