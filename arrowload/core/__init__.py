"""Floors 0 and 1: errors, secrets, registries; batches, types, schemas and state."""
