"""The arm `result_only`: no tool may be called; the prompt shows what the attempt with tools of the same number obtained.
"""

from rollouts.prompts.forms import FORMS

FORM = FORMS["result_only"]
