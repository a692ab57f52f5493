"""Runs a migration: knows Python trees, arrays and files, and no Flax layer by name."""

__version__ = '0.1.0'
