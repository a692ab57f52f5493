"""Measurements: ratios side by side, and runs over public code."""
