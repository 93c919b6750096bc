"""Which layers make an image, their Dockerfiles and their content ids."""
