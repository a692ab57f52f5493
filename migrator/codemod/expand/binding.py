"""What the parameters of a function are at one call, as expressions of the caller."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator


class NotExpandable(Exception):
  """A call that cannot be written out."""


@dataclasses.dataclass
class Arguments:
  """The parameters of one call.

  values: by parameter; defaults: the parameters that take their default, which is written in the callee.
  positional, named: what `*args` and `**kwargs` receive, and their names in the callee.
  """

  values: dict[str, ast.expr]
  defaults: set[str]
  star: str | None = None
  positional: list[ast.expr] = dataclasses.field(default_factory=list)
  stars: str | None = None
  named: list[ast.keyword] = dataclasses.field(default_factory=list)


def bind(function: ast.FunctionDef | ast.Lambda, call: ast.Call, receiver: ast.expr | None) -> Arguments:
  """Binds the arguments of a call; `receiver` is the first argument of a method.

  Raises:
    NotExpandable: the call unpacks arguments, or does not fit.
  """
  given = [*([receiver] if receiver is not None else []), *call.args]
  if any(isinstance(item, ast.Starred) for item in given) or any(item.arg is None for item in call.keywords):
    raise NotExpandable('the call unpacks its arguments')
  parameters = function.args
  names = [item.arg for item in (*parameters.posonlyargs, *parameters.args)]
  bound = Arguments(dict(zip(names, given)), set())
  rest = given[len(names) :]
  if rest and parameters.vararg is None:
    raise NotExpandable('the call has too many arguments')
  bound.star = parameters.vararg.arg if parameters.vararg else None
  bound.stars = parameters.kwarg.arg if parameters.kwarg else None
  bound.positional = rest
  known = {*names, *(item.arg for item in parameters.kwonlyargs)}
  for keyword in call.keywords:
    assert keyword.arg is not None
    if keyword.arg in bound.values:
      raise NotExpandable(f'{keyword.arg} is given twice')
    if keyword.arg in known:
      bound.values[keyword.arg] = keyword.value
    elif bound.stars is None:
      raise NotExpandable(f'{keyword.arg} is no parameter')
    else:
      bound.named.append(keyword)
  for name, default in defaults_of(parameters):
    if name not in bound.values:
      bound.values[name] = default
      bound.defaults.add(name)
  if known - set(bound.values):
    raise NotExpandable('an argument is missing')
  return bound


def defaults_of(parameters: ast.arguments) -> Iterator[tuple[str, ast.expr]]:
  """Yields the parameters that have a default, with it."""
  listed = [*parameters.posonlyargs, *parameters.args]
  for parameter, default in zip(reversed(listed), reversed(parameters.defaults)):
    yield parameter.arg, default
  for parameter, value in zip(parameters.kwonlyargs, parameters.kw_defaults):
    if value is not None:
      yield parameter.arg, value


def is_plain(node: ast.expr) -> bool:
  """Tells whether an expression may be written several times: a name, an attribute of one, a constant."""
  if isinstance(node, ast.UnaryOp):
    return isinstance(node.operand, ast.Constant)
  while isinstance(node, ast.Attribute):
    node = node.value
  return isinstance(node, (ast.Name, ast.Constant))
