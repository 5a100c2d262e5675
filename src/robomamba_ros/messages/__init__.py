"""Values from and to the content of ROS messages: for live topics, bags and replay alike."""
