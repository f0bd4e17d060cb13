"""Adversarial training, measured: on the line, where optima are known, and in the plane, where modes are counted."""
