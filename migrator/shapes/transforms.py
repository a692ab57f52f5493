"""JAX transforms of functions of the repository: vmap, and the loops and branches of `jax.lax`."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from . import oracle
from .joins import join
from .values import Array, Closure, Dim, External, Mapped, Partial, Unknown, Value

Call = Callable[[Value, tuple[Value, ...]], Value]


def transformed(
  it: Any, name: str, args: tuple[Value, ...], kwargs: dict[str, Value], node: ast.Call, call: Call
) -> Value:
  """Returns the result of a transform that is given a local function, None if it is none of those known here.

  call: calls a value with arguments.
  """
  if name == 'jax.vmap' and args:
    if isinstance(args[0], (Closure, External, Partial, Mapped)):
      return Mapped(
        args[0], _argument(args, kwargs, 1, 'in_axes', 0), _argument(args, kwargs, 2, 'out_axes', 0)
      )
    return None
  handler = _LOOPS.get(name)
  if handler is None or not any(isinstance(arg, (Closure, Partial, Mapped)) for arg in args):
    return None
  return handler(it, args, kwargs, node, call)


def _argument(
  args: tuple[Value, ...], kwargs: dict[str, Value], place: int, name: str, default: Value
) -> Value:
  return args[place] if len(args) > place else kwargs.get(name, default)


def call_mapped(function: Mapped, args: tuple[Value, ...], node: ast.Call, call: Call) -> Value:
  """Calls what `jax.vmap` made: the mapped axis is taken from the arguments and put into the results."""
  axes = function.in_axes if isinstance(function.in_axes, (tuple, list)) else (function.in_axes,) * len(args)
  if len(axes) != len(args) or not isinstance(function.out_axes, int):
    return Unknown('a vmap whose axes are not followed', node.lineno)
  inner: list[Value] = []
  sizes: list[Dim] = []
  for value, axis in zip(args, axes):
    if axis is None:
      inner.append(value)
      continue
    found = _without_axis(value, axis, sizes) if isinstance(axis, int) else None
    if found is None:
      return Unknown('a vmap over an argument that is not followed', node.lineno)
    inner.append(found)
  if not sizes:
    return Unknown('a vmap over no argument', node.lineno)
  return _with_axis(call(function.function, tuple(inner)), function.out_axes, sizes[0], node)


def _without_axis(value: Value, axis: int, sizes: list[Dim]) -> Value:
  if isinstance(value, Array) and value.dtype == 'key' and value.shape == ():
    return None
  if isinstance(value, Array) and -len(value.shape) <= axis < len(value.shape):
    place = axis % len(value.shape)
    sizes.append(value.shape[place])
    return Array((*value.shape[:place], *value.shape[place + 1 :]), value.dtype)
  if isinstance(value, (tuple, list)):
    items = [_without_axis(item, axis, sizes) for item in value]
    return None if any(item is None for item in items) else type(value)(items)
  if isinstance(value, dict):
    table = {key: _without_axis(item, axis, sizes) for key, item in value.items()}
    return None if any(item is None for item in table.values()) else table
  return None


def _with_axis(value: Value, axis: int, size: Dim, node: ast.Call) -> Value:
  if isinstance(value, Array):
    place = axis % (len(value.shape) + 1)
    return Array((*value.shape[:place], size, *value.shape[place:]), value.dtype)
  if isinstance(value, (tuple, list)):
    return type(value)(_with_axis(item, axis, size, node) for item in value)
  if isinstance(value, dict):
    return {key: _with_axis(item, axis, size, node) for key, item in value.items()}
  if value is None or isinstance(value, Unknown):
    return value
  return (
    Array((size,))
    if oracle.is_dim(value) or isinstance(value, float)
    else Unknown('a vmap of no array', node.lineno)
  )


def _scan(it: Any, args: tuple[Value, ...], kwargs: dict[str, Value], node: ast.Call, call: Call) -> Value:
  carry, over = _argument(args, kwargs, 1, 'init', None), _argument(args, kwargs, 2, 'xs', None)
  sizes: list[Dim] = []
  item = None if over is None else _without_axis(over, 0, sizes)
  length = sizes[0] if sizes else _argument(args, kwargs, 3, 'length', None)
  if (over is not None and item is None) or not oracle.is_dim(length):
    return Unknown('a scan over something that is not followed', node.lineno)
  result = call(args[0], (carry, item))
  if isinstance(result, Unknown):
    return result
  if not isinstance(result, (tuple, list)) or len(result) != 2:
    return Unknown('a scan whose body returns no pair', node.lineno)
  # The carry keeps its shape, or the program fails.
  return carry, _with_axis(result[1], 0, length, node)


def _map(it: Any, args: tuple[Value, ...], kwargs: dict[str, Value], node: ast.Call, call: Call) -> Value:
  return call_mapped(Mapped(args[0], 0, 0), args[1:2], node, call)


def _first_operand(place: int) -> Callable[..., Value]:
  """A loop that returns what it started with, after it was followed once."""

  def result(it: Any, args: tuple[Value, ...], kwargs: dict[str, Value], node: ast.Call, call: Call) -> Value:
    return args[place] if len(args) > place else Unknown('a loop without a start value', node.lineno)

  return result


def _cond(it: Any, args: tuple[Value, ...], kwargs: dict[str, Value], node: ast.Call, call: Call) -> Value:
  if len(args) < 3:
    return Unknown('a cond that is not followed', node.lineno)
  then, orelse = call(args[1], args[3:]), call(args[2], args[3:])
  return join(then, orelse, None, it.table, 'either')


_LOOPS: dict[str, Callable[..., Value]] = {
  'jax.lax.scan': _scan,
  'jax.lax.map': _map,
  'jax.lax.cond': _cond,
  'jax.lax.associative_scan': _first_operand(1),
  'jax.lax.while_loop': _first_operand(2),
  'jax.lax.fori_loop': _first_operand(3),
}
