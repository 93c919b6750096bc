"""Frozen values: what recipes say (`definitions`), what will be done (`steps`), what happened (`record`)."""
