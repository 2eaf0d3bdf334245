"""Decisions over tables: pure functions that return what is kept and, with stage and reason, what is not."""
