"""The graph of nodes as data, the options that a user may set, and both for `ros2 launch`."""
