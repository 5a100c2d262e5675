"""What an arm is: its contract, read from YAML. Knows nothing about ROS, torch or policies."""
