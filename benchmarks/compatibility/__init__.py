"""The table of what is proved of each layer: `python -m benchmarks.compatibility` writes it for the running Flax."""
