"""Checking ports made by hand: what is what is inferred, then both live modules are compared."""
