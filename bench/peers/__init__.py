"""What mediagen is measured against, written by us in the way of tutorials."""

USUAL_QUEUE = "bench-usual"
"""Where the usual design publishes to; nobody takes it from there."""

NOOP_QUEUE = "bench-noop"
"""Whose messages the workers of `noop` take."""
