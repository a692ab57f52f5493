"""What the interpreter reports: creations of submodules and variables, and their uses."""

from __future__ import annotations

import ast
import dataclasses
from typing import Any

from .values import Value


@dataclasses.dataclass(eq=False)
class Use:
  """One call of a created module.

  node: the call expression.
  args, kwargs: abstract values given.
  method: name of the method called.
  inside: the function definition the call stands in.
  """

  node: ast.Call
  args: tuple[Value, ...]
  kwargs: dict[str, Value]
  method: str
  inside: ast.AST
  output: Value = None
  names: dict[str, Value] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(eq=False)
class Creation:
  """One place where a module, a parameter, a variable or a key is made.

  kind: 'layer' (Linen layer), 'class' (class of the repository), 'param', 'variable', 'rng', 'sow'.
  target: qualified name of what is made; for variables the collection, for keys the stream.
  arguments: bound constructor arguments by name.
  names: integer and module valued local variables at the place, for naming sizes.
  path: enclosing compound statements, outermost first, with the branch taken ('body'/'orelse').
  inside: function definition it stands in; chain: calls through which it was reached.
  others: creations of other classes by the same call (filled by the planner).
  factory: source of the callable if it is no plain name of a class: 'field:conv', 'local:norm'.
  """

  node: ast.Call
  kind: str
  target: str
  arguments: dict[str, Value]
  inside: ast.AST
  name: Value = None
  name_node: ast.expr | None = None
  path: tuple[tuple[ast.AST, str], ...] = ()
  chain: tuple[ast.Call, ...] = ()
  factory: str | None = None
  partials: tuple[Any, ...] = ()
  names: dict[str, Value] = dataclasses.field(default_factory=dict)
  uses: list[Use] = dataclasses.field(default_factory=list)
  value: Value = None
  source: Any = None
  visits: int = 1
  prefix: str = ''
  lift: Any = None
  others: list[Creation] = dataclasses.field(default_factory=list)

  @property
  def line(self) -> int:
    return self.node.lineno


@dataclasses.dataclass
class Recording:
  """Everything reported while one class was interpreted."""

  creations: dict[tuple[Any, ...], Creation] = dataclasses.field(default_factory=dict)
  values: dict[int, list[Value]] = dataclasses.field(default_factory=dict)
  notes: list[tuple[int, str]] = dataclasses.field(default_factory=list)
  refusals: list[tuple[int, str]] = dataclasses.field(default_factory=list)
  calls: list[tuple[ast.Call, Any]] = dataclasses.field(default_factory=list)
  order: list[Creation] = dataclasses.field(default_factory=list)
  returns: dict[str, Value] = dataclasses.field(default_factory=dict)
