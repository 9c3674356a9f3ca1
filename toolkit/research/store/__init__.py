"""What was ever run and tried, kept on disk."""
