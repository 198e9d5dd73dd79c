"""Typical answers to the exercises of a notebook, and what its text may say unmeasured."""

NOT_MEASURED = []

EXERCISES = {}
