"""Deterministic simulation of the engine: the shipped steps and SQL, a seeded scheduler, every kind of fault.

One seed is one schedule: some jobs, some workers, a provider with its own book of what it sold, a network that
loses, doubles and delays, processes that die and freeze. The product's own repository functions and steps run on
a real SQLite database in memory with the real migration; only the ports (database, clock, provider, keeper) are
simulated. The same seed always gives the same schedule.
"""
