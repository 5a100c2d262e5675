"""Data sets to learn from: LeRobot, demonstrations, poses, conversations."""
