"""What the prediction errors of a simulator say about why it fails on the robot."""
