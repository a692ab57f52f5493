"""OCDBT indexes: names over byte ranges."""
