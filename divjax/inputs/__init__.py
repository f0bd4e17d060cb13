"""What users type and the files they have. What is not understood is refused, in one line."""
