"""One activation of a function, and how much work one class is worth."""

from __future__ import annotations

import ast
import dataclasses
from typing import Any

from .values import Instance, Value

MAX_DEPTH = 14
MAX_STEPS = 5_000  # of one function that is followed: statements and calls


@dataclasses.dataclass
class Frame:
  """One activation of a function.

  env: local variables; module: the source module names resolve in; self_value: the module instance.
  subject: True when creations here belong to the class under analysis.
  path: enclosing compound statements with the branch taken; chain: calls that led here.
  """

  env: dict[str, Value]
  module: Any
  node: ast.AST
  self_value: Instance | None = None
  owner: Any = None
  subject: bool = False
  path: tuple[tuple[ast.AST, str], ...] = ()
  chain: tuple[ast.Call, ...] = ()
  returns: list[Value] = dataclasses.field(default_factory=list)
  depth: int = 0


class Budget(Exception):
  """The class needs more steps than it is worth."""
