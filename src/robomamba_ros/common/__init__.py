"""What every part stands on: bounded reading of files, configuration, the machine, processes."""
