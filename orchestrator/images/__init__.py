"""Images of layers: built, pulled, pushed, pruned and rebuilt."""
