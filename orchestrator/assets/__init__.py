"""Models and datasets: fetched by hash, prepared in containers, kept by content."""
