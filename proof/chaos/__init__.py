"""Chaos: a whole installation, ours or the usual one, whose parts are killed, flushed and restarted under load."""
