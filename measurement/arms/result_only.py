"""The arm `result_only`: no tool may be called; the prompt shows sample i what sample i of `tools` obtained."""

from rollouts.prompts.forms import FORMS

FORM = FORMS["result_only"]
