"""Observations, rewards, terminations, resets, commands, actions and noise: pure functions that a task file names."""
