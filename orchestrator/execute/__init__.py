"""Carrying plans out: building images, running containers, or printing what would be done."""
