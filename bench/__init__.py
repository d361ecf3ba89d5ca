"""Measurements that anybody can repeat: `python -m bench NAME`.

What is measured and why: docs/explanation/performance.md.

Each path has one module in `bench/paths`. It starts what it needs in processes of its own on loopback ports,
warms up, and lets us, the bound and the peer take turns in one run, so that a noisy machine is noisy for all.
"""
