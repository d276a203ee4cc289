"""Decisions as values: the standard library's pure parts only, and `now` is always a parameter."""
