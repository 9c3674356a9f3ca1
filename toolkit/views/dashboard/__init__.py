"""The Panel dashboard: one hub, one pulling view per browser."""
