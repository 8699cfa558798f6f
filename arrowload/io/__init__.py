"""How to talk to drivers, files and SQL."""
