"""What is wrong with a robot before it moves: checks of plain facts, which know no ROS."""
