"""Proofs that anyone can run: what the documents claim of the engine, shown on the shipped code itself."""
