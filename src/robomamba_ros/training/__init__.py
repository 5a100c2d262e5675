"""Training of policies from demonstrations."""
