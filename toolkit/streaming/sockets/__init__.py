"""From the hub to the sockets: what goes beneath python-socketio and what does not."""
