"""The MCP server of realitygap. It imports `realitygap` and mcp, never jax, mujoco or numpy."""
