"""What is typical to answer in the exercises of a notebook, and what its text may say unmeasured."""

NOT_MEASURED = []

EXERCISES = {}
