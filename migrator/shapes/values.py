"""The values of the abstract interpreter.

Concrete things are plain Python objects (ints, strings, tuples, lists, dicts, None), symbolic
sizes are JAX dimension expressions, and everything else is one of the classes below.
"""

from __future__ import annotations

import ast
import dataclasses
from typing import Any

Dim = Any  # an int or a symbolic dimension of JAX
Value = Any


@dataclasses.dataclass(frozen=True, eq=False)
class Unknown:
  """A value that could not be followed.

  reason: why, in words.
  line: where, 1-based; 0 if it has no place.
  soft: True for a value that may simply be absent (an optional argument of unknown rank);
    at a join it gives way to the value of the other branch.
  """

  reason: str
  line: int = 0
  soft: bool = False


@dataclasses.dataclass(frozen=True)
class Array:
  """An array of known rank.

  shape: dims, ints or symbols.
  dtype: name of the dtype ('float32', 'int32', 'bool', 'key').
  optional: True if the value may be None instead.
  """

  shape: tuple[Dim, ...]
  dtype: str = 'float32'
  optional: bool = False


@dataclasses.dataclass(frozen=True)
class Opaque:
  """A value fixed at construction (a field, an attribute of a config) whose content is not known.

  source: the expression that names it, with `self.` for fields ('self.config.width').
  kind: 'int', 'float', 'bool', 'str', 'dtype', 'callable', 'sequence', 'module', 'object' or 'any'.
  optional: True if it may be None.
  element: kind of the elements of a sequence.
  default: the default value of the field, used by the oracle where a concrete value is needed.
  of: qualified name of its class when the repository defines it.
  """

  source: str
  kind: str = 'any'
  optional: bool = False
  element: str = 'any'
  default: Any = None
  of: str | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Late:
  """A value known only at the call: a flag or another argument that is no array.

  names: the call arguments it depends on.
  node: the expression that computes it in the class that has the call arguments.
  text: the source text of that expression.
  """

  names: frozenset[str]
  text: str = ''
  optional: bool = False


@dataclasses.dataclass(frozen=True)
class External:
  """A function, class or module outside the repository, by qualified name."""

  name: str


@dataclasses.dataclass(eq=False)
class ClassRef:
  """A class of the repository (a `SourceClass`).

  prefix: what lifted transforms put before its automatic names ('Checkpoint' for nn.remat).
  lift: how nn.vmap or nn.scan lift it, if they do.
  """

  source: Any
  prefix: str = ''
  lift: Any = None


@dataclasses.dataclass(eq=False)
class Closure:
  """A function of the repository: its definition, the module it stands in, and captured variables."""

  node: ast.FunctionDef | ast.Lambda
  module: Any
  env: dict[str, Value] | None = None
  self_value: Value = None
  owner: Any = None
  local: bool = False


@dataclasses.dataclass(eq=False)
class Partial:
  """`functools.partial(function, *args, **kwargs)`; `node` is the call that made it."""

  function: Value
  args: tuple[Value, ...]
  kwargs: dict[str, Value]
  node: ast.Call | None = None
  creation: Any = None


@dataclasses.dataclass(eq=False)
class Mapped:
  """`jax.vmap(function, in_axes, out_axes)`."""

  function: Value
  in_axes: Value = 0
  out_axes: Value = 0


@dataclasses.dataclass(eq=False)
class Bound:
  """A method looked up on a value that is no instance of a repository class: `x.reshape`."""

  owner: Value
  name: str


@dataclasses.dataclass(eq=False)
class Instance:
  """A module: an instance of a repository class or of a Linen layer.

  source: the `SourceClass`, or None for a Linen layer.
  layer: qualified Linen name for a layer, else None.
  fields: bound constructor arguments by name.
  attributes: what `setup` assigned.
  creation: the event that made it; None for the subject under analysis and for fields.
  altered: True once code outside of the module has set an attribute of it.
  """

  source: Any = None
  layer: str | None = None
  fields: dict[str, Value] = dataclasses.field(default_factory=dict)
  attributes: dict[str, Value] = dataclasses.field(default_factory=dict)
  creation: Any = None
  field: str | None = None
  ready: bool = False
  lift: Any = None
  altered: bool = False

  @property
  def label(self) -> str:
    return self.layer or self.source.name


@dataclasses.dataclass(eq=False)
class Structure:
  """An object of a plain dataclass of the repository that holds arrays (what a model returns)."""

  source: Any
  fields: dict[str, Value]


@dataclasses.dataclass(eq=False)
class Alternatives:
  """One of several values, by a condition that is not known."""

  options: tuple[Value, ...]


@dataclasses.dataclass(eq=False)
class VariableRef:
  """What `self.variable` returns: `.value` is the array."""

  creation: Any
  value: Value


@dataclasses.dataclass(eq=False)
class VariableTree:
  """`module.variables['params']` of another module, followed down to one of its modules."""

  owner: Instance


class Mutation(Exception):
  """Raised inside the interpreter when a statement cannot be followed at all."""


def is_unknown(value: Value) -> bool:
  return isinstance(value, Unknown)


def first_unknown(values: Any) -> Unknown | None:
  """Returns the first Unknown among the values, looking into tuples, lists and dicts."""
  for value in values:
    if isinstance(value, Unknown):
      return value
    if isinstance(value, (tuple, list)):
      found = first_unknown(value)
      if found is not None:
        return found
    if isinstance(value, dict):
      found = first_unknown(value.values())
      if found is not None:
        return found
  return None


def like(value: Any, items: list[Any]) -> Any:
  """Returns a tuple or list of the same type; named tuples take their items one by one."""
  return type(value)(*items) if hasattr(value, '_fields') else type(value)(items)


def contains(value: Value, kinds: type | tuple[type, ...]) -> bool:
  """Tells whether the value is, or holds in a container or partial, one of the kinds."""
  if isinstance(value, kinds):
    return True
  if isinstance(value, (tuple, list)):
    return any(contains(item, kinds) for item in value)
  if isinstance(value, dict):
    return any(contains(item, kinds) for item in value.values())
  if isinstance(value, Partial):
    return contains(value.args, kinds) or contains(value.kwargs, kinds)
  if isinstance(value, Alternatives):
    return contains(value.options, kinds)
  return False


@dataclasses.dataclass(eq=False)
class Repeated:
  """A list whose length is not known, or only as a size: every element looks like `element`."""

  element: Value
  loop: ast.AST | None = None
  items: tuple[Value, ...] = ()
  length: Dim = None
