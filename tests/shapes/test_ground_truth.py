"""The sizes found by reading are those that Linen itself makes, in every case of every fixture program.

Linen runs under `jax.eval_shape`; an interceptor writes down which layer is called with which input, and the
tree of variables gives the shapes of parameters.  What was read is evaluated at the sizes of the case.
"""
from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import re
import sys
from pathlib import Path
from typing import Any

import flax.linen as nn
import pytest

from migrator.equivalence.linen_side import LinenSide
from migrator.equivalence.protocol import Message
from migrator.shapes.analysis import Analysis, analyse_all
from migrator.source.project import read_project
from tests.end_to_end.programs import all_programs, lay_out

CASES = [(program, index) for program in all_programs() for index in range(len(program.cases))]


class Open(Exception):
  """The size depends on something that only the running program knows."""


@dataclasses.dataclass
class Call:
  """One real call of a module: its class, the shapes it was given, and the instance."""

  module: Any
  path: tuple[str, ...]
  shapes: tuple[tuple[int, ...] | None, ...]


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Any:
  folder = lay_out(all_programs(), tmp_path_factory.mktemp('programs'))
  sys.path.insert(0, str(folder))
  importlib.invalidate_caches()
  yield folder
  sys.path.remove(str(folder))


@functools.cache
def analyses(root: Path) -> dict[str, Analysis]:
  return analyse_all(read_project([root], root))


def observed(root: Path, table: Any) -> tuple[list[Call], dict[tuple[str, ...], tuple[int, ...]]]:
  """Runs the Linen model of a case under eval_shape; returns the calls and the shapes of all variables."""
  calls: list[Call] = []

  def watch(
    following: Any, args: tuple[Any, ...], kwargs: dict[str, Any], context: nn.module.InterceptorContext
  ) -> Any:
    if context.method_name == '__call__':
      calls.append(Call(context.module, tuple(map(str, context.module.path)),
                        tuple(tuple(arg.shape) if hasattr(arg, 'shape') else None for arg in args)))
    return following(*args, **kwargs)

  with nn.intercept_methods(watch):
    variables = LinenSide(root).prepare(Message({'case': table})).group('variables')
  return calls, {path: tuple(array.shape) for path, array in variables.items()}


class Sizes:
  """Evaluates the interpreter's sizes for one real instance."""

  def __init__(self, analysis: Analysis, call: Call) -> None:
    self.table = analysis.table
    self.fields = call.module
    names = [parameter.name for parameter in analysis.parameters.get('__call__', [])]
    self.inputs = dict(zip(names, call.shapes))

  def value(self, dim: Any) -> int:
    if isinstance(dim, int):
      return dim
    text = str(dim).replace('^', '**')
    names = {name: self._symbol(name) for name in re.findall(r'[A-Za-z]\w*', text)
             if name not in ('floordiv', 'mod', 'max', 'min')}
    functions = {'floordiv': lambda a, b: a // b, 'mod': lambda a, b: a % b, 'max': max, 'min': min}
    return int(eval(compile(text, '<size>', 'eval'), {}, {**names, **functions}))

  def _symbol(self, name: str) -> int:
    info = self.table.info(name)
    if info is not None and info.kind == 'input' and info.method == '__call__':
      shape = self.inputs.get(info.argument)
      if shape is None or len(shape) != info.rank:
        raise Open
      return shape[info.axis]
    if info is not None and info.kind in ('field', 'local') and info.loop is None:
      try:
        value = eval(compile(info.source, '<field>', 'eval'), {'len': len}, {'self': self.fields})
      except Exception:
        raise Open from None
      if isinstance(value, int):
        return value
    raise Open


def checked(
  analysis: Analysis, call: Call, calls: list[Call], variables: dict[tuple[str, ...], tuple[int, ...]]
) -> int:
  """Compares one real instance with what was read of its class; returns how many sizes were compared."""
  sizes, count = Sizes(analysis, call), 0
  inner = {
    (type(other.module).__name__, other.shapes[0][-1])
    for other in calls
    if other.path[: len(call.path)] == call.path
    and other.path != call.path
    and other.shapes
    and other.shapes[0]
  }
  scope = {path[1 + len(call.path)]: shape for path, shape in variables.items()
           if path[1:1 + len(call.path)] == call.path and len(path) == 2 + len(call.path)}
  for creation in analysis.record.order:
    if (
      creation.path
      or creation.chain
      or any(
        isinstance(node, ast.Return)
        for node in ast.walk(creation.inside)
        if node is not creation.inside.body[-1]
      )
    ):
      continue
    try:
      if (
        creation.kind == 'param' and hasattr(creation.value, 'shape') and creation.arguments['name'] in scope
      ):
        found = tuple(sizes.value(dim) for dim in creation.value.shape)
        assert found == scope[creation.arguments['name']], f'{analysis.source.name}:{creation.line}'
        count += 1
      if creation.kind == 'layer' and creation.uses and getattr(creation.uses[0].args[0], 'shape', ()):
        width = sizes.value(creation.uses[0].args[0].shape[-1])
        pair = (creation.target.rsplit('.', 1)[-1], width)
        # A factory in a field may make another layer than its default; the width stays.
        fits = pair in inner if creation.factory is None else width in {other for _, other in inner}
        assert fits, f'{analysis.source.name}:{creation.line}: {pair} is not among {sorted(inner)}'
        count += 1
    except (Open, IndexError):
      continue
  return count


@pytest.mark.parametrize(
  ('program', 'index'), CASES, ids=[f'{program.name}-{index}' for program, index in CASES]
)
def test_sizes_are_those_of_linen(program: Any, index: int, root: Path) -> None:
  if program.cases[index].get('method', '__call__') != '__call__':
    pytest.skip('the case calls another method')
  calls, variables = observed(root, program.cases[index])
  found = analyses(root)
  for call in calls:
    name = f'{type(call.module).__module__}:{type(call.module).__qualname__}'
    if name in found:
      checked(found[name], call, calls, variables)


def test_many_sizes_are_compared(root: Path) -> None:
  """The property above is not empty."""
  total = 0
  for program in all_programs()[:25]:
    calls, variables = observed(root, program.cases[0])
    for call in calls:
      name = f'{type(call.module).__module__}:{type(call.module).__qualname__}'
      if name in analyses(root):
        total += checked(analyses(root)[name], call, calls, variables)
  assert total > 40
