"""Checkpoints of any size: opened without reading an array, planned, converted by index, proved."""
