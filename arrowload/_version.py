"""The version; a constant, since to ask the installed package costs a tenth of a small load."""

__version__ = "0.1.0"
