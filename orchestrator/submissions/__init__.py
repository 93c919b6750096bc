"""Submissions to MLPerf Inference: trees of results as a round asks for them."""
