"""From a request to frozen steps. Pure: everything that a plan depends on is an argument."""
