"""A policy in another process or on another machine, by openpi's websocket protocol."""
