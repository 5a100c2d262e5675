"""LeRobot data sets out of recordings."""
