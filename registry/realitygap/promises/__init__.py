"""What every plugin promises, and whether one keeps it. Without pytest, which `realitygap.testing` adds."""
