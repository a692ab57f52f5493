"""Linen names that are no record: the codemod itself knows what they mean."""

from __future__ import annotations

HANDLED = {
  'flax.linen.Module': 'base class: becomes nnx.Module, its fields become parameters of the constructor',
  'flax.linen.compact': 'decorator: submodules and parameters made in the method move to the constructor',
  'flax.linen.nowrap': 'decorator: dropped, every method of an nnx.Module is plain',
}
