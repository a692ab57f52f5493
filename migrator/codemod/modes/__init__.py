"""`--mode module`: train flags leave the signatures, and layers follow `model.train()` and `model.eval()`."""

from .follow import follow_modes

__all__ = ['follow_modes']
