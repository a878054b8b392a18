"""The built-in concepts, one plugin a folder."""
