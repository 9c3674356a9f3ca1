"""Who may do what: keys, tokens, revocation, origins. No limits on how much."""
