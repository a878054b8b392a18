"""Where steps run: on this machine, on a Ray cluster."""
