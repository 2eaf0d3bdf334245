"""The arm `call_only`: tools may be called, and their results are withheld. It shows what the habit of calling does."""

from rollouts.prompts.forms import FORMS

FORM = FORMS["call_only"]
