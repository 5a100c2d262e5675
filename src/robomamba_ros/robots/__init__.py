"""What an arm is: its contract, read from YAML."""
