"""Functions given to a Linen model as `method=`: they get an NNX module now, which has no `variables` and no `apply`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from typing import Any

from migrator.report.findings import ClassReport, Finding

_CALLS = ('apply', 'init', 'init_with_output', 'bind')
_GIVEN = re.compile(rb'\bmethod\s*=\s*[A-Za-z_]\w*\s*[,)]')
_ONLY_LINEN = {
  'variables': 'an NNX module has no variables: read the weight as an attribute',
  'apply': 'an NNX module has no apply: call it, or compute with the other weights here',
  'init': 'an NNX module has no init: it is made with its weights',
  'param': 'an NNX module has no param: make it in the constructor',
  'variable': 'an NNX module has no variable: make it in the constructor',
  'make_rng': 'an NNX module has no make_rng: draw a key from an nnx.Rngs',
}
_LINEN_ONLY = re.compile(rb'\.(' + '|'.join(_ONLY_LINEN).encode() + rb')\b')


def method_function_findings(project: Any, reports: Sequence[ClassReport]) -> Iterator[Finding]:
  """Yields a finding for every place where such a function uses the module, or a part of it, as a Linen one."""
  native = {report.name for report in reports if report.outcome in ('native', 'helper')}
  if not native:
    return
  for name, file in sorted(project.index.files.items()):
    # Parsing is dear: the text has to have a call with `method=` and something that only Linen modules have.
    if not file.listed or not (_GIVEN.search(file.data) and _LINEN_ONLY.search(file.data)):
      continue
    module = project.module(name)
    if module is not None and module.skips.file is None:
      yield from _in_module(project, module, native)


def _in_module(project: Any, module: Any, native: set[str]) -> Iterator[Finding]:
  nodes = module.nodes
  inside = {node for item in project.classes_in(module) if item.name in native for node in nodes.walk(item.node)}
  functions: dict[str, list[ast.FunctionDef]] = {}
  for node in nodes.order:
    if isinstance(node, ast.FunctionDef) and node not in inside:
      functions.setdefault(node.name, []).append(node)
  given = [
    (item.value.id, node)
    for node in nodes.order
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CALLS
    for item in node.keywords
    if item.arg == 'method' and isinstance(item.value, ast.Name)
  ]
  seen: set[ast.AST] = set()
  for name, call in given:
    function = _nearest(functions.get(name, []), call, nodes)
    if function is not None and function not in seen:
      seen.add(function)
      yield from _uses(module, function)


def _nearest(found: list[ast.FunctionDef], call: ast.Call, nodes: Any) -> ast.FunctionDef | None:
  """Returns the function of this name that stands in the same function as the call, else one of the module."""
  around = list(nodes.around(call))
  for scope in around:
    if isinstance(scope, (ast.FunctionDef, ast.Module)):
      own = [item for item in found if item in scope.body]
      if own:
        return own[-1]
  return next((item for item in found if nodes.parent(item) is None or isinstance(nodes.parent(item), ast.Module)), None)


def _uses(module: Any, function: ast.FunctionDef) -> Iterator[Finding]:
  parameters = [*function.args.posonlyargs, *function.args.args]
  if not parameters:
    return
  name = parameters[0].arg
  for node in module.nodes.walk(function):
    if isinstance(node, ast.Attribute) and node.attr in _ONLY_LINEN and _root(node.value) == name:
      yield Finding(
        module.relative,
        node.lineno,
        'linen-method',
        f"{function.name} is given as method= and gets an NNX module now, and {ast.unparse(node)} is Linen's; "
        f'{_ONLY_LINEN[node.attr]}{_instead(module, node)}',
      )


def _root(node: ast.expr) -> str | None:
  while isinstance(node, (ast.Attribute, ast.Subscript)):
    node = node.value
  return node.id if isinstance(node, ast.Name) else None


def _instead(module: Any, node: ast.Attribute) -> str:
  """Returns `, module.shared.embedding[...]` for `module.variables['params']['shared']['embedding']`."""
  keys: list[str] = []
  parent = module.nodes.parent(node)
  while isinstance(parent, ast.Subscript) and isinstance(parent.slice, ast.Constant):
    keys.append(str(parent.slice.value))
    parent = module.nodes.parent(parent)
  if node.attr != 'variables' or len(keys) < 2 or not all(key.isidentifier() for key in keys):
    return ''
  return f', such as {ast.unparse(node.value)}.{".".join(keys[1:])}[...]'
