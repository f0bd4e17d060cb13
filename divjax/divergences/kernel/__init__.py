"""Samples compared by kernels, and by the energy distance, whose kernel is −‖x − y‖."""
