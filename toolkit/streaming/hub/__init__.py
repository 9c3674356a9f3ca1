"""The hub: messages are numbered, kept, and queued for whoever wants them; no sockets."""
