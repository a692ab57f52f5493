"""Interprets one Linen class, or all of them: who makes what, and of which sizes."""

from __future__ import annotations

import ast
import dataclasses
import os
import re
from collections.abc import Collection
from typing import Any

from . import oracle
from .events import Creation, Recording
from .fields import field_value
from .frames import Budget, Frame
from .hypotheses import Parameter, attempts, parameters
from .interpreter import Interpreter
from .outside import outside_methods
from .symbols import SymbolTable
from .values import (
  Alternatives,
  Array,
  ClassRef,
  Closure,
  External,
  Instance,
  Late,
  Opaque,
  Partial,
  Repeated,
  Unknown,
  Value,
  contains,
)

_MOST_ATTEMPTS = 15
_SKIPPED_METHODS = ('setup', '__post_init__', '__hash__', '__eq__', '__repr__', '__getattr__')


@dataclasses.dataclass
class Observed:
  """One use of a class by another class: constructor arguments and call arguments, by name."""

  user: str
  fields: dict[str, Value]
  method: str
  call: dict[str, Value]


@dataclasses.dataclass
class Analysis:
  """What is known of one class.

  record: creations, values, refusals; table: meaning of the symbols.
  arguments: abstract call arguments, by method; parameters: their roles.
  subject: the instance that stands for `self`.
  results: what each method returns.
  exhausted: True if no method was given arguments that had not been tried before.
  """

  source: Any
  record: Recording
  table: SymbolTable
  arguments: dict[str, dict[str, Value]]
  parameters: dict[str, list[Parameter]]
  subject: Instance
  results: dict[str, Value]
  unsized: list[tuple[int, str]]
  users: list[str] = dataclasses.field(default_factory=list)
  exhausted: bool = True

  def late_fields(self) -> dict[str, Late | Partial]:
    """Fields whose value another class only knows at the call."""
    return {name: value for name, value in self.subject.fields.items() if contains(value, Late)}


class Evidence:
  """Uses of classes seen while other classes were interpreted."""

  def __init__(self) -> None:
    self.observed: dict[str, list[Observed]] = {}
    self.summaries: dict[Any, Any] = {}

  def add(
    self, user: str, owner: Instance, args: tuple[Value, ...], kwargs: dict[str, Value], method: str
  ) -> None:
    found = owner.source.methods.get(method)
    if found is None:
      return
    names = [parameter.name for parameter in parameters(found.node)]
    call = {**dict(zip(names, args)), **kwargs}
    self.observed.setdefault(owner.source.name, []).append(Observed(user, owner.fields, method, call))

  def of(self, name: str) -> list[Observed]:
    return self.observed.get(name, [])


def analyse_all(
  project: Any, names: Collection[str] | None = None, evidence: Evidence | None = None
) -> dict[str, Analysis]:
  """Interprets the Linen classes of the project, users before what they use.

  Args:
    names: the classes to interpret, by default all; evidence: takes the uses that are seen.
  Returns:
    the analyses by class name, in that order.
  """
  evidence = evidence or Evidence()
  analyses: dict[str, Analysis] = {}
  for name in users_first(project, names):
    analyses[name] = analyse(project, project.classes[name], evidence)
  return analyses


def users_first(project: Any, only: Collection[str] | None = None) -> list[str]:
  """Returns the names of the Linen classes so that a class comes after the classes that mention it."""
  names = sorted(
    name for name, found in project.classes.items() if found.is_linen and (only is None or name in only)
  )
  short: dict[str, list[str]] = {}
  for name in names:
    short.setdefault(project.classes[name].node.name, []).append(name)
  mentions = {name: _mentioned(project, project.classes[name], short) for name in names}
  users: dict[str, set[str]] = {name: set() for name in names}
  for name in names:
    for used in mentions[name]:
      if used != name and used in users:
        users[used].add(name)
  ordered: list[str] = []
  placed: set[str] = set()

  def place(name: str, path: tuple[str, ...]) -> None:
    if name in placed or name in path:
      return
    for user in sorted(users[name]):
      place(user, (*path, name))
    if name not in placed:
      placed.add(name)
      ordered.append(name)

  for name in names:
    place(name, ())
  return ordered


def _mentioned(project: Any, source: Any, short: dict[str, list[str]]) -> set[str]:
  found: set[str] = set()
  for node in ast.walk(source.node):
    text = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None
    if text in short:
      same_module = [name for name in short[text] if name.split(':')[0] == source.module.name]
      found.update(same_module or short[text])
    elif text is not None and isinstance(getattr(node, 'ctx', None), ast.Load) and text[:1].isupper():
      resolved = project.resolve_node(
        source.module, node
      )  # an alias: `from .blocks import Residual as Block`
      if resolved in project.classes and project.classes[resolved].is_linen:
        found.add(resolved)
  return found


def analyse(project: Any, source: Any, evidence: Evidence) -> Analysis:
  """Interprets the methods of one class under the most plausible call arguments."""
  methods = entry_methods(source)
  observed = evidence.of(source.name)
  best: Analysis | None = None
  best_seen: dict[Any, Any] = {}
  tried: list[list[tuple[int, str]]] = []
  idle = 0
  for choice in _choices(project, source, methods, observed):
    found, seen = _interpret(project, source, methods, observed, choice, evidence.summaries)
    idle = 0 if best is None or _score(found) < _score(best) else idle + 1
    if idle == 0:
      best, best_seen = found, seen
    assert best is not None
    if _score(best) == 0 or found.exhausted or _hopeless(tried, found) or idle >= _patience(best):
      break
  assert best is not None
  best.users = sorted({seen.user for seen in observed})
  for owner, args, kwargs, method in best_seen.values():
    evidence.add(source.name, owner, args, kwargs, method)
  return best


_ABOUT_RANK = re.compile(
  r'rank|reshape|dim|unpack|range|axis|axes|shape|permut|ind(ex|ices)|broadcast|absent|batch|array|Conv'
)


_RANK_ITSELF = re.compile(r'has rank|unpacked into|number of dimensions|numbers of dimensions|too many indices')


def _hopeless(tried: list[list[tuple[int, str]]], found: Analysis) -> bool:
  """Other arguments cannot help if the reasons are not about ranks, or stay the same for three of them."""
  problems = found.unsized or [
    (0, value.reason) for value in found.results.values() if isinstance(value, Unknown)
  ]
  tried.append(problems)
  arrays = [item for item in found.parameters.get('__call__', []) if item.role == 'array' and item.dtype != 'key']
  if not problems and len(arrays) > 1:
    return False  # all is known, but a first axis that arrays share is doubted: another rank may do without
  if any(text.endswith('too large to follow') for _, text in found.record.refusals):
    return True
  if problems and not any(_ABOUT_RANK.search(reason) for _, reason in problems):
    return True
  # Every rank is tried in several ways before the next one.
  patience = 8 if any(_RANK_ITSELF.search(reason) for _, reason in problems) else 3
  return len(tried) >= patience and all(other == problems for other in tried[-patience:])


def _patience(best: Analysis) -> int:
  """Returns how many attempts in a row may be no better: few if only what the class returns is not known."""
  if _score(best) <= 1:
    return 3
  return 7 if best.unsized else _MOST_ATTEMPTS


def _choices(project: Any, source: Any, methods: list[str], observed: list[Observed]) -> list[int]:
  """Attempts are numbered: number k takes the k-th plausible binding of every method."""
  return list(range(min(3, len(observed)) + _MOST_ATTEMPTS))


def entry_methods(source: Any) -> list[str]:
  """Returns the methods to interpret: `__call__` first, then the other public ones."""
  outside = outside_methods(source)
  names = [
    name
    for name, method in source.methods.items()
    if name not in _SKIPPED_METHODS
    and name not in outside
    and not method.is_static
    and not method.is_classmethod
    and not method.is_property
  ]
  public = [
    name for name in names if not name.startswith('_') or name == '__call__' or source.methods[name].compact
  ]
  called = _called_on_self(source)
  entries = [name for name in public if name == '__call__' or name not in called]
  if '__call__' in public:
    return ['__call__', *sorted(name for name in entries if name != '__call__')]
  return sorted(entries) or sorted(public)


def _called_on_self(source: Any) -> set[str]:
  called: set[str] = set()
  for method in source.methods.values():
    for node in ast.walk(method.node):
      if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == 'self'
        and node.func.attr != method.name
      ):
        called.add(node.func.attr)
  return called


def _interpret(
  project: Any,
  source: Any,
  methods: list[str],
  observed: list[Observed],
  choice: int,
  summaries: dict[Any, Any],
) -> tuple[Analysis, dict[Any, Any]]:
  record, table = Recording(), SymbolTable(oracle.symbol)
  seen: dict[Any, Any] = {}
  it: Interpreter = Interpreter(project, record, table, seen.setdefault, summaries)
  subject = Instance(source, None, subject_fields(it, source, observed))
  it.subject = subject
  analysis = Analysis(source, record, table, {}, {}, subject, {}, [])
  try:
    _methods(it, analysis, methods, observed, choice)
  except Budget as error:
    record.refusals.append((source.node.lineno, str(error)))
  except RecursionError:
    record.refusals.append((source.node.lineno, 'the class is nested too deeply to follow'))
  except Exception as error:  # code that defeats the interpreter keeps its class Linen, never the run
    if os.environ.get('LINEN2NNX_DEBUG'):
      raise
    record.refusals.append(
      (source.node.lineno, f'the tool failed on it ({type(error).__name__}: {error}); please report it')
    )
  record.notes += [(source.node.lineno, text) for text in table.notes]
  analysis.unsized = unsized(record)
  return analysis, seen


def _methods(
  it: Interpreter, analysis: Analysis, methods: list[str], observed: list[Observed], choice: int
) -> None:
  source = analysis.source
  for name in methods:
    method = source.methods[name]
    listed = parameters(method.node)
    calls = _distinct([seen.call for seen in observed if seen.method == name])
    options = list(_take(attempts(it, name, listed, calls), choice + 1))
    analysis.exhausted = analysis.exhausted and len(options) <= choice
    bound = options[-1] if len(options) > choice or name == '__call__' else options[0]
    analysis.parameters[name], analysis.arguments[name] = listed, bound
    env: dict[str, Value] = {'self': analysis.subject, **bound}
    self_name = method.node.args.args[0].arg if method.node.args.args else 'self'
    env[self_name] = analysis.subject
    if method.node.args.vararg:
      env[method.node.args.vararg.arg] = Unknown('the *arguments of the call', method.node.lineno)
    if method.node.args.kwarg:
      env[method.node.args.kwarg.arg] = {}
    frame = Frame(env, method.owner.module, method.node, analysis.subject, method.owner, subject=True)
    from .modules import ensure_setup

    ensure_setup(it, analysis.subject, frame)
    seen = {node: list(values) for node, values in it.record.values.items()}
    analysis.results[name] = it.run(frame, method.node.body)
    it.record.values.update(seen)  # what an earlier method called is written in that method's sizes


def _take(iterator: Any, count: int) -> Any:
  for _, item in zip(range(count), iterator):
    yield item


def _distinct(calls: list[dict[str, Value]]) -> list[dict[str, Value]]:
  seen: dict[str, dict[str, Value]] = {}
  for call in calls:
    key = repr(
      {
        name: (len(value.shape), value.dtype) if isinstance(value, Array) else type(value).__name__
        for name, value in call.items()
      }
    )
    seen.setdefault(key, call)
  ranked = sorted(
    seen.values(),
    key=lambda call: (contains(call, Unknown), -sum(isinstance(value, Array) for value in call.values())),
  )
  return ranked


def _score(analysis: Analysis) -> int:
  unknown = sum(_unknown_result(value) for value in analysis.results.values())
  # An array without a batch axis, or a weight whose size depends on the batch: both speak against the guess.
  unbatched = any(text.startswith('unbatched') for _, text in analysis.record.notes)
  return 10 * len(analysis.unsized) + unknown + 3 * (unbatched or _sizes_of_batches(analysis))


def _unknown_result(value: Value) -> bool:
  """Tells whether what a method returns, or the first item of it on every way, could not be followed."""
  if isinstance(value, Alternatives):
    return all(_unknown_result(option) for option in value.options)
  if isinstance(value, tuple) and value:
    return isinstance(value[0], Unknown)
  return isinstance(value, Unknown)


def _sizes_of_batches(analysis: Analysis) -> bool:
  """Tells whether the input size of a layer depends on the first axis of an array."""
  for creation in analysis.record.order:
    if creation.kind != 'layer':
      continue
    dims = [
      use.args[0].shape[-1]
      for use in creation.uses
      if use.args and isinstance(use.args[0], Array) and use.args[0].shape
    ]
    names = _symbols_of(dims, analysis.table)
    infos = [analysis.table.info(name) for name in names]
    if any(info is not None and info.kind == 'input' and info.axis == 0 and info.rank > 1 for info in infos):
      return True
  return False


def _symbols_of(dims: list[Any], table: SymbolTable) -> set[str]:
  """Returns the names of the symbols in some sizes; a size that a loop changes has those it enters the loop with."""
  found: set[str] = set()
  pending = list(dims)
  while pending:
    dim = pending.pop()
    if not oracle.is_symbolic(dim):
      continue
    for name in set(re.findall(r'[A-Za-z]\w*', oracle.text_of(dim))) - found:
      found.add(name)
      info = table.info(name)
      if info is not None and info.kind == 'carried':
        pending.append(info.entry)
  return found


def unsized(record: Recording) -> list[tuple[int, str]]:
  """Returns (line, reason) for every creation whose input is not known."""
  problems = []
  for creation in record.order:
    if creation.kind not in ('layer', 'class'):
      if creation.kind in ('param', 'variable') and isinstance(creation.value, Unknown) and not creation.value.soft:
        problems.append((creation.line, creation.value.reason))
      continue
    reason = _missing_input(creation) or _out_of_range(creation)
    if reason is not None:
      problems.append((creation.line, reason))
  return problems


def _out_of_range(creation: Creation) -> str | None:
  """An argument such as `x.shape[3]` of an array of three axes: the rank was guessed wrong."""
  return next(
    (
      value.reason
      for value in creation.arguments.values()
      if isinstance(value, Unknown) and value.reason.endswith('is out of range')
    ),
    None,
  )


def _missing_input(creation: Creation) -> str | None:
  if not creation.uses:
    return None
  reasons = []
  calls = [use for use in creation.uses if use.method != 'apply']
  absent = [use.args[0] for use in calls if use.args and isinstance(use.args[0], Unknown)]
  if absent and len(absent) == len(calls):
    return f'{absent[0].reason} (line {absent[0].line})' if absent[0].line else absent[0].reason
  for use in creation.uses:
    unknown = next((value for value in use.args if isinstance(value, Unknown) and not value.soft), None)
    if unknown is None:
      return None
    reasons.append(f'{unknown.reason} (line {unknown.line})' if unknown.line else unknown.reason)
  return reasons[0]


# -- the fields of the subject -----------------------------------------------------------------


def subject_fields(it: Interpreter, source: Any, observed: list[Observed]) -> dict[str, Value]:
  """Returns the symbolic fields of a class, refined by how other classes make it."""
  fields: dict[str, Value] = {}
  for name, field in source.fields.items():
    value = field_value(it, field, f'self.{name}')
    fields[name] = _refined(value, [seen.fields[name] for seen in observed if name in seen.fields], name)
  return fields


def _refined(value: Value, seen: list[Value], name: str) -> Value:
  late = next((other for other in seen if contains(other, Late)), None)
  if isinstance(late, (Late,)):
    return Late(frozenset({name}), f'self.{name}')
  if late is not None:
    return late
  if not isinstance(value, (Opaque, External, ClassRef, Partial)):
    return value
  modules = [other for other in seen if _is_factory(other)]
  if modules and (not isinstance(value, Opaque) or value.kind in ('any', 'module', 'callable', 'object')):
    return modules[0]
  if not isinstance(value, Opaque):
    return value
  instances = [other for other in seen if isinstance(other, Instance)]
  if instances:
    return Instance(instances[0].source, instances[0].layer, dict(instances[0].fields), field=name)
  if value.kind in ('any', 'object') and value.of is None:
    return _kind_from(value, seen)
  return value


def _is_factory(value: Value) -> bool:
  if isinstance(value, Partial):
    return _is_factory(value.function)
  if isinstance(value, ClassRef):
    return value.source.is_linen
  if isinstance(value, External):
    return oracle.is_linen_class(value.name)
  return False


def _kind_from(value: Opaque, seen: list[Value]) -> Value:
  for other in seen:
    if isinstance(other, Opaque) and other.of is not None:
      return dataclasses.replace(value, kind='object', of=other.of)
    for kind, types in (('bool', bool), ('str', str), ('float', float)):
      if isinstance(other, types):
        return dataclasses.replace(value, kind=kind)
    if isinstance(other, Opaque) and other.kind not in ('any', 'object'):
      return dataclasses.replace(value, kind=other.kind, element=other.element)
    if isinstance(other, (Closure, External)):
      return dataclasses.replace(value, kind='callable')
  return value


__all__ = [
  'Alternatives',
  'Analysis',
  'Evidence',
  'Repeated',
  'analyse',
  'analyse_all',
  'unsized',
  'users_first',
]
