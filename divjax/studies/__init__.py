"""Studies: whole experiments, from a question to a table."""
