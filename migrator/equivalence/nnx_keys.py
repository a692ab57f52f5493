"""Giving an NNX model the random keys that Linen drew."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from migrator.equivalence.module_paths import LinenPath, NnxPath

Draw = tuple[LinenPath, str]


class ReplayStream(nnx.RngStream):
  """A stream that hands out given keys in order; ordinary module state, so it works under every transform.

  key: the keys, [..., draws]; leading axes are those of a stacked module.
  """

  @classmethod
  def of_keys(cls, keys: jax.Array, tag: str) -> ReplayStream:
    stream = cls(keys, tag=tag)
    stream.count.set_value(jnp.zeros(keys.shape[:-1], jnp.uint32))
    return stream

  def __call__(self) -> jax.Array:
    key = self.key[...][self.count[...]]
    self.count[...] += 1
    return key

  def fork(self, **split: Any) -> nnx.RngStream:
    return nnx.RngStream(self(), tag=self.tag)


class ConstantStream(nnx.RngStream):
  """A stream that hands out the same key every time."""

  def __call__(self) -> jax.Array:
    return self.key[...]


def replay(model: nnx.Module, draws: Mapping[Draw, np.ndarray],
           paths: Mapping[LinenPath, NnxPath]) -> list[str]:
  """Replaces the model's streams by ones that hand out Linen's keys.

  Args:
    model: changed in place.
    draws: key data [steps, draws per step, words] by Linen module path and stream.
    paths: NNX path of every Linen module.

  Returns:
    Why the keys cannot be aligned, one sentence for each draw without a stream; empty when they can.
  """
  wanted = {(paths[path], stream): (path, keys) for (path, stream), keys in draws.items() if path in paths}
  problems = [f'the NNX counterpart of Linen module {"/".join(path) or "(root)"} is not in the manifest'
              for path, _ in draws if path not in paths]
  # A stream object shared by several modules shows at its first place only, until that is replaced.
  while (fits := [place for place in own_streams(model) if (place[0], place[3].tag) in wanted]):
    for owner, holder, name, stream in fits:
      path, data = wanted.pop((owner, stream.tag), ((), None))
      keys = None if data is None else _shaped(data, stream.key.get_value().shape)
      if keys is not None:
        setattr(holder, name, ReplayStream.of_keys(keys, stream.tag))
      elif data is not None:
        problems.append(f'Linen module {"/".join(path)} draws no multiple of the size of the NNX stack')
  return problems + [f'Linen module {"/".join(path) or "(root)"} draws from {stream!r}, its NNX counterpart '
                     f'{"/".join(map(str, owner)) or "(root)"} keeps no such stream'
                     for (owner, stream), (path, _) in wanted.items()]


def make_constant(model: nnx.Module, key: jax.Array) -> None:
  """Replaces every stream of the model by one that hands out this key."""
  for _, holder, name, stream in list(own_streams(model)):
    keys = jnp.broadcast_to(key, stream.key.get_value().shape)
    setattr(holder, name, ConstantStream(keys, tag=stream.tag))


def misdrawn(before: nnx.Module, after: nnx.Module) -> list[str]:
  """Returns the streams that did not hand out exactly Linen's keys; both models have the same streams."""
  counts = {path: stream.count.get_value() for path, stream in _streams(before)}
  problems = []
  for path, stream in _streams(after):
    expected = counts[path]
    if isinstance(stream, ReplayStream):
      expected = jnp.full_like(expected, stream.key.get_value().shape[-1])
    drawn = stream.count.get_value()
    if isinstance(stream, ConstantStream) or bool((drawn == expected).all()):
      continue
    problems.append(f'NNX stream {"/".join(map(str, path))} was drawn {int(drawn.max())} times, '
                    f'Linen drew {int(expected.max())} times')
  return problems


def own_streams(model: nnx.Module) -> Iterator[tuple[NnxPath, Any, str, nnx.RngStream]]:
  """Yields (path of the owning module, object that holds it, attribute, stream) for every stream."""
  nodes = dict(nnx.iter_graph(model))
  for path, stream in _streams(model):
    if not path or isinstance(path[-1], int):
      continue
    owner = next(path[:size] for size in range(len(path) - 1, -1, -1)
                 if isinstance(nodes.get(path[:size]), nnx.Module))
    yield owner, nodes[path[:-1]], str(path[-1]), stream


def _streams(model: nnx.Module) -> list[tuple[NnxPath, nnx.RngStream]]:
  return [(cast(NnxPath, path), node) for path, node in nnx.iter_graph(model)
          if isinstance(node, nnx.RngStream)]


def _shaped(data: np.ndarray, stack: tuple[int, ...]) -> jax.Array | None:
  """Returns keys [*stack, draws] of key data [steps, draws, words]; None when they do not fit."""
  steps, draws, words = data.shape
  count = int(np.prod(stack, dtype=int))
  if not stack:
    return jax.random.wrap_key_data(jnp.asarray(data.reshape(steps * draws, words)))
  if steps * draws % count or steps < count:
    return None
  return jax.random.wrap_key_data(jnp.asarray(data.reshape(*stack, steps // count * draws, words)))
