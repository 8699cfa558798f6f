"""Doing it: the commit protocol, splits, retry, events, report."""
