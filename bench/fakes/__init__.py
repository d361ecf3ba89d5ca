"""Providers for measuring: they answer at once, so that what is seen is ours."""
