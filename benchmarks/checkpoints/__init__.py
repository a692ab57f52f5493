"""Conversion of large checkpoints against Orbax, cp and a hand-written converter: `python -m benchmarks.checkpoints`."""
