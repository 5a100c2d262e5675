"""From chunks of actions to poses over time, within limits. Knows nothing about ROS or torch."""
