"""Images: what is done to them before a network sees them, and the networks."""
