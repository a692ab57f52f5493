"""Everything that knows Flax: one file, one Linen thing; registration is by being there.

Importing this package imports neither jax nor flax.
"""
