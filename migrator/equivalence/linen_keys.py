"""Watching which random keys a Linen model really uses, and giving it one constant key instead.

`nn.Module.make_rng` is replaced for the time of a trace.  A key may be a tracer
inside scan, vmap, remat or jit, so it is passed through a callback that notes
its value when the program runs: bodies that Linen traces twice but runs once
note once, a scan notes the key of every step.  The callback is pure, so that it
vanishes with unused traces; one with an effect makes nn.scan refuse its body.
"""
from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import flax.linen as nn
import jax
import numpy as np

Draw = tuple[tuple[str, ...], str]


class KeyLog:
  """The keys drawn, by draw site; a site is one `make_rng` of one trace."""

  def __init__(self) -> None:
    self._sites: list[tuple[Draw, list[np.ndarray]]] = []

  def site(self, path: tuple[str, ...], stream: str) -> Callable[[Any], np.ndarray]:
    """Returns the identity, which notes what passes through it."""
    keys: list[np.ndarray] = []
    self._sites.append(((path, stream), keys))

    def note(data: Any) -> np.ndarray:
      keys.append(np.array(data))
      return keys[-1]

    return note

  def draws(self) -> dict[Draw, np.ndarray]:
    """Returns key data [steps, draws per step, words] by (module path, stream), in the order of drawing.

    `steps` is 1 outside of loops; sites that never ran are left out.
    """
    by_draw: dict[Draw, list[list[np.ndarray]]] = {}
    for draw, keys in self._sites:
      if keys:
        by_draw.setdefault(draw, []).append(keys)
    regular = {draw: sites for draw, sites in by_draw.items() if len({len(keys) for keys in sites}) == 1}
    return {draw: np.stack([np.stack(keys) for keys in sites], axis=1) for draw, sites in regular.items()}

  def irregular(self) -> list[Draw]:
    """Returns the draws of modules that draw inside and outside of a loop: their order is not known."""
    counts: dict[Draw, set[int]] = {}
    for draw, keys in self._sites:
      if keys:
        counts.setdefault(draw, set()).add(len(keys))
    return [draw for draw, sizes in counts.items() if len(sizes) > 1]


@contextlib.contextmanager
def watched_keys(log: KeyLog) -> Iterator[None]:
  """Programs traced inside note the keys they use in the log when they run."""
  original = nn.Module.make_rng

  def make_rng(self: nn.Module, name: str = 'params') -> Any:
    key = original(self, name)
    # nn.jit draws a root key for its body by the same method; it is no draw of the model.
    if sys._getframe(1).f_globals.get('__name__') == 'flax.linen.transforms':
      return key
    return _through(log.site(self.path, name), key)

  with _replaced(make_rng):
    yield


@contextlib.contextmanager
def constant_keys(key: jax.Array, drawn: list[Draw] | None = None) -> Iterator[None]:
  """Programs traced inside draw this key every time; `drawn` is told which module draws from which stream."""

  def make_rng(self: nn.Module, name: str = 'params') -> Any:
    if drawn is not None:
      drawn.append((self.path, name))
    return key

  with _replaced(make_rng):
    yield


@contextlib.contextmanager
def _replaced(make_rng: Any) -> Iterator[None]:
  original = nn.Module.make_rng
  nn.Module.make_rng = make_rng  # type: ignore[method-assign]
  try:
    yield
  finally:
    nn.Module.make_rng = original  # type: ignore[method-assign]


def _through(note: Callable[[Any], np.ndarray], key: Any) -> Any:
  """Returns the key after it has passed through the callback."""
  typed = jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key)
  data = jax.random.key_data(key) if typed else key
  kind = jax.ShapeDtypeStruct(data.shape, data.dtype)
  passed = jax.pure_callback(note, kind, data, vmap_method='sequential')
  return jax.random.wrap_key_data(passed, impl=jax.random.key_impl(key)) if typed else passed
