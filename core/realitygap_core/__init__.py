"""The training and identification core of realitygap: physics, recordings, parameters, tasks, PPO. Knows nothing of skills."""
