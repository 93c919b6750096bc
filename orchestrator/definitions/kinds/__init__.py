"""What a recipe, a lock, a list of images or mlorch.yaml may say: one frozen model per kind."""
