"""Packages, models and datasets: fetched by hash, kept by content, laid out for images and runs."""
