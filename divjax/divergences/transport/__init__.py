"""Samples compared by optimal transport: on the line, along many lines, or by plans."""
