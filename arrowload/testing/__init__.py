"""Suites for authors of connectors, steps and state backends: subclass one, give it your thing, and run pytest."""
