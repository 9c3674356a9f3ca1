"""What bot and service can be told, by whom, and how often the bot is heard."""
