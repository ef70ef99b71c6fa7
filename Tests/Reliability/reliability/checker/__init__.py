"""Judges the calls of a run and the log of its database's changes."""
