"""What the notebooks need and the method does not: figures, exercises, samples, checks."""
