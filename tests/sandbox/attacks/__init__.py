"""Hostile programs for the sandbox, and what runs them (`python -m tests.sandbox.attacks.run`)."""
