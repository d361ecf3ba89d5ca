"""mediagen: a self-hosted, durable job server for generative media."""

from importlib.metadata import version

__version__ = version("mediagen")
