"""How different simulated and real signals are, each measure beside what it says when nothing differs."""
