"""What stands between a stranger and the server: how many, how fast, how large, how long."""
