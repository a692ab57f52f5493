"""Comparisons over abstract values: True, False, or a condition that is not known."""

from __future__ import annotations

import ast
import dataclasses
import operator
import re
from typing import Any

from . import oracle
from .expressions import evaluate, handles
from .operators import binary, late_of
from .values import Alternatives, Array, ClassRef, External, Late, Opaque, Unknown, Value, contains

_NAME = re.compile(r'[A-Za-z]\w*')
_COMPARE = {ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge}


@handles(ast.Compare)
def _compare(it: Any, node: ast.Compare, frame: Any) -> Value:
  left = evaluate(it, node.left, frame)
  values = [left]
  answers: list[Any] = []
  for op, comparator in zip(node.ops, node.comparators):
    right = evaluate(it, comparator, frame)
    values.append(right)
    answers.append(_for_any_field(it, op, left, right, compare(op, left, right)))
    left = right
  if any(answer is False for answer in answers):
    return False
  if all(answer is True for answer in answers):
    return True
  if contains(tuple(values), Late):
    return late_of(tuple(value for value in values if isinstance(value, Late)), node)
  arrays = [value for value in values if isinstance(value, Array)]
  if arrays and not isinstance(node.ops[0], (ast.Is, ast.IsNot, ast.In, ast.NotIn)):
    result = binary(it, ast.Add, values[0], values[1], node)
    return dataclasses.replace(result, dtype='bool') if isinstance(result, Array) else result
  return Opaque(ast.unparse(node), 'bool')


def _for_any_field(it: Any, op: ast.cmpop, left: Value, right: Value, answer: bool | None) -> bool | None:
  """Returns the answer if it also holds for fields of zero and below: a size is at least one, a number of layers need not be."""
  if answer is None or not (oracle.is_dim(left) and oracle.is_dim(right)):
    return answer
  names = {name for dim in (left, right) for name in _NAME.findall(oracle.text_of(dim))}
  infos = {name: it.table.info(name) for name in names}
  fields = [name for name, info in infos.items() if info is not None and info.kind in ('field', 'local')]
  for number in (0, -1) if fields else ():
    given = dict.fromkeys(fields, number)
    try:
      sizes = [oracle.evaluate_with(dim, given, 0) for dim in (left, right)]
    except ArithmeticError:
      continue
    if compare(op, *sizes) is not answer:
      return None
  return answer


def compare(op: ast.cmpop, left: Value, right: Value) -> bool | None:
  """Returns the answer of a comparison, None if it is not known."""
  if isinstance(op, (ast.Is, ast.IsNot)):
    answer = _identity(left, right)
  elif isinstance(op, (ast.Eq, ast.NotEq)):
    answer = _equality(left, right)
  elif isinstance(op, (ast.In, ast.NotIn)):
    answer = _membership(left, right)
  else:
    return _order(op, left, right)
  if answer is None:
    return None
  return answer != isinstance(op, (ast.IsNot, ast.NotEq, ast.NotIn))


def _identity(left: Value, right: Value) -> bool | None:
  if left is None and right is None:
    return True
  if right is None or left is None:
    other = left if right is None else right
    if isinstance(other, Alternatives):
      answers = {_identity(option, None) for option in other.options}
      return answers.pop() if len(answers) == 1 else None
    if isinstance(other, Unknown):
      return None
    if isinstance(other, (Array, Opaque, Late)):
      return None if other.optional or (isinstance(other, Opaque) and other.kind == 'any') else False
    return False
  if isinstance(left, bool) and isinstance(right, bool):
    return left is right
  if isinstance(left, (External, ClassRef)) and isinstance(right, type(left)):
    return left == right or getattr(left, 'source', 0) is getattr(right, 'source', 1)
  return None


def _equality(left: Value, right: Value) -> bool | None:
  if oracle.is_dim(left) and oracle.is_dim(right):
    return oracle.same(left, right)
  if isinstance(left, (tuple, list)) and isinstance(right, (tuple, list)):
    if len(left) != len(right):
      return False
    answers = [_equality(a, b) for a, b in zip(left, right)]
    return False if False in answers else (None if None in answers else True)
  plain = (str, float, int, bool, type(None))
  if isinstance(left, plain) and isinstance(right, plain):
    return left == right
  if isinstance(left, External) and isinstance(right, External):
    return True if left == right else None
  return None


def _membership(left: Value, right: Value) -> bool | None:
  if isinstance(right, dict) and isinstance(left, str) and '*' not in right:
    return left in right
  if isinstance(right, (tuple, list)):
    answers = [_equality(left, item) for item in right]
    return True if True in answers else (None if None in answers else False)
  if isinstance(right, str) and isinstance(left, str):
    return left in right
  return None


def _order(op: ast.cmpop, left: Value, right: Value) -> bool | None:
  if isinstance(left, (Array, Opaque, Late, Unknown)) or isinstance(right, (Array, Opaque, Late, Unknown)):
    return None
  try:
    return bool(_COMPARE[type(op)](left, right))
  except Exception:
    return None
