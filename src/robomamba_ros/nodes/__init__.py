"""ROS 2 nodes and what only they need; rclpy and message packages are imported here alone."""
