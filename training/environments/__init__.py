"""The python tool in the hands of other trainers: TRL's environments (trl.py) and verl's tools (verl.py)."""
