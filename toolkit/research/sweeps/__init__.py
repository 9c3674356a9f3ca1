"""Many sets of parameters over the same bars."""
