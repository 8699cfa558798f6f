"""Checks of the rows of a load before it is published, one a file."""
