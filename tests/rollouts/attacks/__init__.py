"""Hostile programs for the sandbox, and what runs them (`python -m tests.rollouts.attacks.run`)."""
