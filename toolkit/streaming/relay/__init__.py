"""Owner and workers of a cluster: what they say to each other, and what carries it."""
