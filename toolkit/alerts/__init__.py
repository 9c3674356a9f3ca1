"""What a person should hear of at once: decided, grouped, and sent to anything Apprise reaches."""
