"""Marks: values that carry a text through tracing, such as 'draw|encoder/dropout|dropout|0'.

They are equations of the primitive behind `jax.ad_checkpoint.checkpoint_name`:
nothing is computed, and jit, scan, vmap, remat and gradients keep them.
"""
from __future__ import annotations

import collections
import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import flax.linen as nn
import jax
from flax import nnx
from flax.core import Scope
from jax.ad_checkpoint import checkpoint_name

from migrator.equivalence.nnx_keys import own_streams

DRAW = 'draw'
INITIAL = 'initial'
AUDITED = 'audited'


class Counter:
  """Numbers the marks of one trace: how often each place was passed."""

  def __init__(self) -> None:
    self._seen: collections.Counter[tuple[str, ...]] = collections.Counter()
    self._open: list[str] = []

  def numbered(self, *words: str) -> str:
    """Returns the mark 'words|number'."""
    number = self._seen[words]
    self._seen[words] += 1
    return '|'.join((*words, str(number)))

  def mark(self, value: Any, *words: str) -> Any:
    """Returns the value with the mark 'words|number'."""
    return checkpoint_name(value, self.numbered(*words))

  def is_inside(self, path: str) -> bool:
    """Whether the innermost call that is open is one of this module."""
    return bool(self._open) and self._open[-1] == path

  @contextlib.contextmanager
  def inside(self, path: str) -> Iterator[None]:
    """The call of a module is open inside the context."""
    self._open.append(path)
    try:
      yield
    finally:
      self._open.pop()


_counter = Counter()


def counter() -> Counter:
  """Returns the counter of the trace that is running."""
  return _counter


@contextlib.contextmanager
def fresh_counter() -> Iterator[Counter]:
  """Marks inside the context are numbered from zero; one trace at a time."""
  global _counter
  before, _counter = _counter, Counter()
  try:
    yield _counter
  finally:
    _counter = before


@contextlib.contextmanager
def marked_linen_draws(constant: bool) -> Iterator[None]:
  """Every key that a Linen module draws is marked with the module's path and the stream.

  constant: all draws get the same mark, so that they are one key.
  """
  original = nn.Module.make_rng

  def make_rng(self: nn.Module, name: str = 'params') -> Any:
    key = original(self, name)
    # nn.jit draws a root key for its body by the same method; it is no draw of the model.
    if sys._getframe(1).f_globals.get('__name__') == 'flax.linen.transforms':
      return key
    return _marked_draw(key, '/'.join(self.path), name, constant)

  nn.Module.make_rng = make_rng  # type: ignore[method-assign]
  try:
    yield
  finally:
    nn.Module.make_rng = original  # type: ignore[method-assign]


@contextlib.contextmanager
def marked_linen_initial_draws() -> Iterator[None]:
  """Every key that an initializer draws is marked with the path of its module."""
  original = Scope.make_rng

  def make_rng(self: Scope, name: str = 'params') -> Any:
    return _counter.mark(original(self, name), INITIAL, '/'.join(self.path))

  Scope.make_rng = make_rng  # type: ignore[method-assign]
  try:
    yield
  finally:
    Scope.make_rng = original  # type: ignore[method-assign]


@contextlib.contextmanager
def marked_nnx_initial_draws() -> Iterator[None]:
  """Every key that a stream hands out is marked; streams do not count, the mark tells draws apart."""
  with _draws(lambda stream: _counter.mark(stream.key[...], INITIAL, '')):
    yield


@contextlib.contextmanager
def audited_nnx_draws() -> Iterator[None]:
  """Every key that a stream hands out is marked and is what the stream makes it."""
  original = nnx.RngStream.__call__
  with _draws(lambda stream: _counter.mark(original(stream), AUDITED, '')):
    yield


@contextlib.contextmanager
def uncounted_draws() -> Iterator[None]:
  """Streams hand out keys without counting: where only shapes matter, counting costs quadratic time.

  Setting a traced variable asks the tracer for its sharding, and the refusal lists all equations so far.
  """
  with _draws(lambda stream: stream.key[...]):
    yield


@contextlib.contextmanager
def _draws(drawn: Callable[[nnx.RngStream], Any]) -> Iterator[None]:
  original = nnx.RngStream.__call__
  nnx.RngStream.__call__ = lambda self: drawn(self)  # type: ignore[method-assign]
  try:
    yield
  finally:
    nnx.RngStream.__call__ = original  # type: ignore[method-assign]


class MarkedStream(nnx.RngStream):
  """A stream whose draws are marked.  place: path of the module that owns it; None for no mark."""

  place: str | None = None
  constant: bool = False

  def __call__(self) -> jax.Array:
    if self.place is None:
      return super().__call__()
    return _marked_draw(super().__call__(), self.place, self.tag, self.constant)


def mark_nnx_streams(model: nnx.Module, constant: bool) -> None:
  """Replaces every stream of the model by a marked one with the same state."""
  # A stream object shared by several modules shows at its first place only, until that is replaced.
  while (found := [place for place in own_streams(model) if not isinstance(place[3], MarkedStream)]):
    for owner, holder, name, stream in found:
      marked = MarkedStream(stream.key.get_value(), tag=stream.tag)
      marked.count.set_value(stream.count.get_value())
      marked.place, marked.constant = '/'.join(map(str, owner)), constant
      setattr(holder, name, marked)


def _marked_draw(key: jax.Array, place: str, stream: str, constant: bool) -> jax.Array:
  return _counter.mark(key, DRAW, '', '') if constant else _counter.mark(key, DRAW, place, stream)
