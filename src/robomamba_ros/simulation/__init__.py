"""Simulated robots, used for demonstrations, evaluation and as a robot on the ROS 2 graph."""
