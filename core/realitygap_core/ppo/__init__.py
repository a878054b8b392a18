"""Entropy-regularised proximal policy optimisation: one concept a file."""
