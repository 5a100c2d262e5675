"""Programs that use a running graph: episodes, recording, the doctor."""
