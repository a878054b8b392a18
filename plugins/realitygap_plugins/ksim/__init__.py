"""Tasks of reinforcement learning: the terms that a task file names, and the skills that look at tasks and roll policies out."""
