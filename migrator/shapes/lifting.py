"""Classes lifted by `nn.vmap` and `nn.scan`: what they map, and the shapes of their calls."""

from __future__ import annotations

import ast
import dataclasses
from typing import Any

from . import oracle
from .transforms import _with_axis, _without_axis
from .values import Array, ClassRef, External, Unknown, Value

_KNOWN = {
  'vmap': {'target', 'variable_axes', 'split_rngs', 'in_axes', 'out_axes', 'axis_size'},
  'scan': {'target', 'variable_axes', 'variable_broadcast', 'split_rngs', 'in_axes', 'out_axes', 'length'},
}


@dataclasses.dataclass(frozen=True, eq=False)
class Lift:
  """One lifted class.

  kind: 'vmap' or 'scan'; node: the call that lifts it; in_axes: the mapped axis of each call argument behind
  the carry, or one for all; out_axes: that of the results; size: how many instances or steps, None if the arguments
  tell; stacked: every instance has weights of its own, stacked along axis 0.
  """

  kind: str
  node: ast.Call
  in_axes: Value
  out_axes: int
  size: Value
  stacked: bool

  def axis(self, position: int) -> int | None:
    """Returns the mapped axis of a call argument, counted without the carry."""
    return self.in_axes[position] if isinstance(self.in_axes, tuple) else self.in_axes


def lifted(kind: str, args: tuple[Value, ...], kwargs: dict[str, Value], node: ast.Call) -> ClassRef | str:
  """Returns the lifted class, or why it is not followed."""
  target = args[0] if args else kwargs.get('target')
  if not isinstance(target, ClassRef) or target.prefix or not target.source.is_linen:
    return f'nn.{kind} of something other than a class of the repository is not migrated yet'
  if len(args) > 1 or set(kwargs) - _KNOWN[kind]:
    return f'nn.{kind} with these arguments is not migrated yet'
  axes = kwargs.get('variable_axes', {})
  shared = kwargs.get('variable_broadcast', False)
  split = kwargs.get('split_rngs', {})
  if not isinstance(axes, dict) or not isinstance(split, dict) or any(axis != 0 for axis in axes.values()):
    return f'nn.{kind} with variables along other axes than the first is not migrated yet'
  stacked = 'params' in axes
  if stacked and (split.get('params') is not True or shared):
    return f'nn.{kind} whose instances begin with equal weights is not migrated yet'
  if not stacked and (kind == 'vmap' or axes or shared not in ('params', ['params'], ('params',)) or any(split.values())):
    return f'nn.{kind} that shares variables in this way is not migrated yet'
  size = kwargs.get('axis_size' if kind == 'vmap' else 'length')
  inner, outer = _axes(kwargs.get('in_axes', 0)), kwargs.get('out_axes', 0)
  if inner == 'unknown' or not isinstance(outer, int) or (stacked and size is None):
    return f'nn.{kind} over these axes is not migrated yet'
  return ClassRef(target.source, kind.capitalize(), Lift(kind, node, inner, outer, size, stacked))


def _axes(value: Value) -> Value:
  if isinstance(value, (tuple, list)):
    items = tuple(_axes(item) for item in value)
    return 'unknown' if 'unknown' in items else items
  if isinstance(value, External) and value.name.endswith('.broadcast'):
    return None
  return value if value is None or isinstance(value, int) else 'unknown'


def lifted_call(lift: Lift, args: tuple[Value, ...], kwargs: dict[str, Value], node: ast.Call, call: Any) -> Value:
  """Returns the result of calling an instance of a lifted class; `call` calls one instance."""
  if kwargs:
    return Unknown(f'nn.{lift.kind}: keyword arguments of the call are not followed', node.lineno)
  carry, mapped = (args[:1], args[1:]) if lift.kind == 'scan' else ((), args)
  if isinstance(lift.in_axes, tuple) and len(lift.in_axes) < len(mapped):
    return Unknown(f'nn.{lift.kind}: more arguments than axes', node.lineno)
  sizes: list[Any] = []
  inner: list[Value] = []
  for position, value in enumerate(mapped):
    axis = lift.axis(position)
    found = value if axis is None or isinstance(value, Unknown) else _without_axis(value, axis, sizes)
    if found is None and value is not None:
      return Unknown(f'nn.{lift.kind} over an argument that is not followed', node.lineno)
    inner.append(found)
  size = sizes[0] if sizes else lift.size
  result = call((*carry, *inner))
  if isinstance(result, Unknown):
    return result
  if not oracle.is_dim(size):
    size = 1 if size is None else size
    return Unknown(f'nn.{lift.kind}: how many times is not followed', node.lineno)
  if lift.kind == 'vmap':
    return _with_axis(result, lift.out_axes, size, node)
  if not isinstance(result, (tuple, list)) or len(result) != 2:
    return Unknown('a scan whose body returns no pair', node.lineno)
  return carry[0], _with_axis(result[1], lift.out_axes, size, node)


__all__ = ['Array', 'Lift', 'lifted', 'lifted_call']
