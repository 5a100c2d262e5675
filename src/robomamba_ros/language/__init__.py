"""Instructions in words become token numbers."""
