"""Local variables by branch: copies, and what a condition says about them."""

from __future__ import annotations

import ast
import dataclasses
from typing import Any

from .values import Alternatives, Array, Late, Opaque, Unknown, Value


def narrow(test: ast.expr, answer: bool, env: dict[str, Value]) -> dict[str, Value]:
  """Returns the environment with what the condition says about `x is None` applied."""
  if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
    return narrow(test.operand, not answer, env)
  if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) and answer:
    for part in test.values:
      env = narrow(part, True, env)
    return env
  if not (
    isinstance(test, ast.Compare)
    and len(test.ops) == 1
    and isinstance(test.left, ast.Name)
    and isinstance(test.comparators[0], ast.Constant)
    and test.comparators[0].value is None
  ):
    return env
  is_none = isinstance(test.ops[0], (ast.Is, ast.Eq)) == answer
  value = env.get(test.left.id)
  if is_none and isinstance(value, (Array, Unknown, Late)) and (isinstance(value, Unknown) or value.optional):
    return {**env, test.left.id: None}
  if not is_none and isinstance(value, Array) and value.optional:
    return {**env, test.left.id: Array(value.shape, value.dtype)}
  if not is_none and isinstance(value, Opaque) and value.optional:
    return {**env, test.left.id: dataclasses.replace(value, optional=False)}
  if not is_none and isinstance(value, Alternatives):
    rest = tuple(option for option in value.options if option is not None)
    return {**env, test.left.id: rest[0] if len(rest) == 1 else Alternatives(rest)}
  return env


def copy_env(env: dict[str, Value]) -> dict[str, Value]:
  """Copies lists and dicts, so that branches do not see each other's changes; aliases stay aliases."""
  memory: dict[int, Value] = {}
  return {name: _copy(value, memory) for name, value in env.items()}


def _copy(value: Value, memory: dict[int, Value]) -> Value:
  if id(value) in memory:
    return memory[id(value)]
  if isinstance(value, list):
    new: list[Value] = []
    memory[id(value)] = new
    new.extend(_copy(item, memory) for item in value)
    return new
  if isinstance(value, dict):
    table: dict[Any, Value] = {}
    memory[id(value)] = table
    table.update({key: _copy(item, memory) for key, item in value.items()})
    return table
  return value
