"""Judges whether a policy will transfer."""
