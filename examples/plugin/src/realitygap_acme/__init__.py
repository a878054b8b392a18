"""An example plugin: a skill, an observation and a check."""
