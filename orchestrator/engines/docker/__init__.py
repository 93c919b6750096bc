"""Docker: the SDK runs containers and keeps images, python-on-whales builds them."""
