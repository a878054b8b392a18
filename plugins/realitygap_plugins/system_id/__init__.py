"""Plugin `system_id`: recordings in, the gap measured, the model's parameters and missing terms identified."""
