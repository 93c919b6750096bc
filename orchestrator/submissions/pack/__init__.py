"""A tree as one archive with a manifest of its files, held to it later, and what was taken out of it on record."""
