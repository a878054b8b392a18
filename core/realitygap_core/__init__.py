"""The training and identification core of realitygap: physics, recordings, parameters, tasks, PPO. Knows nothing of skills."""

import os

# Policies and episodes are small: on a CPU handing a call to another thread takes longer than the call. JAX reads this when it is imported.
os.environ.setdefault("JAX_CPU_ENABLE_ASYNC_DISPATCH", "0")
