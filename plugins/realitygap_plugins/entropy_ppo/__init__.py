"""Trains policies with entropy-regularised PPO."""
