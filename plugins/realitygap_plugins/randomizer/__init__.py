"""Distributions over the physical parameters of a robot: made from its model, adapted to what was identified."""
