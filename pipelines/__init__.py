"""The wiring: definitions, jobs, schedules, the command line and the recipes."""
