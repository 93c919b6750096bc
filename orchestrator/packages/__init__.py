"""Pinned files of distributions and package indexes: fetched by hash, locked, laid out for images."""
