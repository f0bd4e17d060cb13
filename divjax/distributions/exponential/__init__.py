"""Exponential families: the gap between two members, from which their closed forms follow."""
