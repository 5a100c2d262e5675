"""The two loops, policy and setpoint, that live, simulated and replayed runs share. No ROS."""
