"""Comprehensions: pass by pass where the iterable is known, else one element that stands for all."""

from __future__ import annotations

import ast
from typing import Any

from .environments import copy_env
from .expressions import evaluate, handles, truth
from .loops import concrete_passes, length_of, loop_element, makes_modules
from .values import Repeated, Unknown, Value


@handles(ast.ListComp, ast.GeneratorExp, ast.SetComp, ast.DictComp)
def _comprehension(it: Any, node: Any, frame: Any) -> Value:
  saved, path = frame.env, frame.path
  generator = node.generators[0]
  iterable = evaluate(it, generator.iter, frame)
  passes_over = iterable
  passes = concrete_passes(iterable)
  body: Any = node.value if isinstance(node, ast.DictComp) else node.elt
  if passes is not None and len(node.generators) == 1 and not makes_modules([body]):
    return _concrete_comprehension(it, node, passes, frame)
  frame.env = copy_env(saved)
  frame.path = (*path, (node, 'body'))
  for clause in node.generators:
    iterable = evaluate(it, clause.iter, frame)
    it.assign(clause.target, loop_element(it, iterable, clause.target, node), frame)
    for test in clause.ifs:
      evaluate(it, test, frame)
  if isinstance(node, ast.DictComp):
    evaluate(it, node.key, frame)
    element = evaluate(it, node.value, frame)
    frame.env, frame.path = saved, path
    return {'*': element}
  element = evaluate(it, node.elt, frame)
  frame.env, frame.path = saved, path
  length = length_of(it, passes_over) if len(node.generators) == 1 and not generator.ifs else None
  return Repeated(element, node, length=length)


def _chosen(it: Any, tests: list[ast.expr], frame: Any) -> bool | None:
  """Returns whether all conditions hold; None if it is not known."""
  answers = [truth(it, evaluate(it, test, frame)) for test in tests]
  return False if False in answers else (None if None in answers else True)


def _concrete_comprehension(it: Any, node: Any, passes: list[Value], frame: Any) -> Value:
  saved = frame.env
  frame.env = dict(saved)
  items: list[Value] = []
  keys: list[Value] = []
  uncertain = False
  for value in passes:
    it.assign(node.generators[0].target, value, frame)
    chosen = _chosen(it, node.generators[0].ifs, frame)
    if chosen is False:
      continue
    uncertain = uncertain or chosen is None
    if uncertain:
      # From here on the place of an item depends on conditions that are not known.
      keys.append('*')
      items.append(Unknown('which item it is depends on a condition', node.lineno, soft=True))
    elif isinstance(node, ast.DictComp):
      keys.append(evaluate(it, node.key, frame))
      items.append(evaluate(it, node.value, frame))
    else:
      items.append(evaluate(it, node.elt, frame))
  frame.env = saved
  if isinstance(node, ast.DictComp):
    return {key if isinstance(key, (str, int)) else '*': item for key, item in zip(keys, items)}
  return items if not isinstance(node, ast.SetComp) else tuple(items)
