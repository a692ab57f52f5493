"""The signature of the constructor: fields, sizes, rngs; and flags that `__call__` takes in addition."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from .layer_call import Refused
from .linen_names import LinenNames
from .module_fields import default_class
from .plan import ClassPlan
from .text import LINE_WIDTH, Edits, SourceText
from .text import text_of as module_text


class SignatureWriter:
  """Writes the parameters of one class.

  edits: changes of its methods; unit: one level of indentation.
  text_of: writes an expression, or with True an annotation, with NNX names.
  """

  def __init__(
    self,
    plan: ClassPlan,
    source: SourceText,
    names: LinenNames,
    edits: Edits,
    unit: str,
    text_of: Callable[[ast.AST | None, bool], str],
  ) -> None:
    self.plan = plan
    self.source = source
    self.names = names
    self.edits = edits
    self.unit = unit
    self.text_of = text_of

  def extend_call(self) -> None:
    """Adds the flags that `__call__` takes in NNX to its parameters.

    Raises:
      Refused: it takes them in no place.
    """
    extra = list(self.plan.call_fields.values())
    extra += [self._threaded_parameter(name) for name in self.plan.threaded]
    if not extra:
      return
    method = self.plan.source.own_methods['__call__'].node
    arguments = method.args
    listed = [*arguments.posonlyargs, *arguments.args]
    if arguments.kwonlyargs or arguments.vararg or arguments.kwarg:
      anchor = arguments.kwonlyargs[-1] if arguments.kwonlyargs else None
      if anchor is None or arguments.kwarg:
        raise Refused('__call__ takes *args or **kwargs, so flags cannot be added')
      end = max(
        [
          self.source.end(anchor),
          *(self.source.end(item) for item in arguments.kw_defaults if item is not None),
        ]
      )
      self.edits.replace_range(end, end, ''.join(f', {item}' for item in extra))
      return
    ends = [self.source.end(item) for item in (*listed, *arguments.defaults)]
    required = any('=' not in item for item in extra) and bool(arguments.defaults)
    text = ''.join(f', {item}' for item in (['*', *extra] if required else extra))
    self.edits.replace_range(max(ends), max(ends), text)

  def _threaded_parameter(self, name: str) -> str:
    """A flag passed through keeps annotation and default of the class it comes from."""
    for user in self.plan.analysis.users:
      method = self.names.project.classes[user].methods.get('__call__')
      found = _parameter_text(method.node, name) if method is not None else None
      if found is not None:
        return found
    return f'{name}: bool'

  def constructor(self, indent: str) -> str:
    """Returns the head of `__init__`, at an indentation: fields, sizes and random streams."""
    fields = [
      self.plan.source.fields[name] for name in self.plan.source.fields if name not in self.plan.call_fields
    ]
    plain = [self._field_parameter(field) for field in fields if not field.kw_only]
    keyword = [self._field_parameter(field) for field in fields if field.kw_only]
    sizes = []
    for item in self.plan.size_arguments:
      annotation = 'int' if item.axis is not None else 'tuple[int, ...]'
      sizes.append((f'{item.name}: {annotation}{" | None" if item.optional else ""}', ''))
    rows = [('self', ''), *plain, ('*', ''), *keyword, *sizes, ('rngs: nnx.Rngs', '')]
    comments = any(comment for _, comment in rows)
    line = f'{indent}def __init__({", ".join(text for text, _ in rows)}):'
    if len(line) <= LINE_WIDTH and not comments:
      return line
    deeper = indent + self.unit * 2
    parts = [f'{indent}def __init__(']
    for text, comment in rows:
      parts += [f'{deeper}{extra}' for extra in comment.split('\n')[:-1] if comment]
      trailing = comment.split('\n')[-1] if comment else ''
      parts.append(f'{deeper}{text},{"  " + trailing if trailing else ""}')
    return '\n'.join([*parts, f'{indent}):'])

  def _field_parameter(self, field: Any) -> tuple[str, str]:
    """Returns the parameter text and its comments (lines above, then the trailing one)."""
    if field.owner is not self.plan.source:
      return self._foreign_parameter(field), ''
    if default_class(self.names.project, field) is not None:
      annotation = self.text_of(field.annotation, True)
      default = self.text_of(field.default.func, False)
      return f'{field.name}: {annotation} | type[{annotation}] = {default}', self._field_comments(field.node)
    text = f'{field.name}: {self.text_of(field.annotation, True)}'
    if field.default_factory:
      text += ' | None = None' if 'Optional' not in text else ' = None'
    elif field.default is not None:
      text += f' = {self.text_of(field.default, False)}'
    return text, self._field_comments(field.node)

  def _foreign_parameter(self, field: Any) -> str:
    annotation = ast.unparse(field.annotation)
    if self._reaches(field.owner.module, field.annotation):
      text = f'{field.name}: {annotation}'
    else:
      text = f'{field.name}'
    if field.default_factory:
      return f'{field.name} = None' if ':' in text else f'{field.name}=None'
    if field.default is None:
      return text
    default = self._foreign_default(field)
    return f'{text} = {default}' if ':' in text else f'{text}={default}'

  def _reaches(self, module: Any, node: ast.AST) -> bool:
    """Tells whether every name of an expression of another module means the same here."""
    project = self.names.project
    for child in ast.walk(node):
      if isinstance(child, ast.Name):
        there, here = project.resolve(module, child.id), project.resolve(self.plan.source.module, child.id)
        if there is None or there != here:
          return False
    return True

  def _foreign_default(self, field: Any) -> str:
    if not self._reaches(field.owner.module, field.default):
      raise Refused(f'the default of the inherited field {field.name} is not known in this module')
    node = field.default.func if default_class(self.names.project, field) is not None else field.default
    other = LinenNames(self.names.project, field.owner.module)
    source = module_text(field.owner.module)
    edits = Edits(source)
    for child in ast.walk(node):
      if isinstance(child, (ast.Name, ast.Attribute)):
        new = other.rename(child)
        if new is not None:
          edits.replace(child, new)
    return edits.node(node)

  def _field_comments(self, node: ast.AnnAssign) -> str:
    start = self.source.leading_comments(
      node, self.source.line_end(self.source.own_start(self.plan.source.node))
    )
    above = self.source.slice(start, self.source.line_start(self.source.own_start(node)))
    line = self.source.slice(self.source.end(node), self.source.line_end(self.source.end(node))).strip()
    lines = [comment.strip() for comment in above.splitlines() if comment.strip()]
    if not lines and not line.startswith('#'):
      return ''
    return '\n'.join([*lines, line if line.startswith('#') else ''])


def _parameter_text(method: ast.FunctionDef, name: str) -> str | None:
  arguments = method.args
  positional = [*arguments.posonlyargs, *arguments.args]
  defaults = dict(zip([item.arg for item in reversed(positional)], reversed(arguments.defaults)))
  defaults.update(
    {item.arg: value for item, value in zip(arguments.kwonlyargs, arguments.kw_defaults) if value is not None}
  )
  for item in (*positional, *arguments.kwonlyargs):
    if item.arg == name:
      text = f'{name}: {ast.unparse(item.annotation)}' if item.annotation is not None else name
      if name in defaults:
        text += (' = ' if item.annotation is not None else '=') + ast.unparse(defaults[name])
      return text
  return None
