"""How long a test waits for what must come: only a hang reaches it, a busy machine does not."""

PATIENCE_S = 300.0
