"""Interprets one Linen class, or all of them: who makes what, and of which sizes."""

from __future__ import annotations

import ast
import dataclasses
import os
from collections.abc import Collection
from typing import Any

from . import oracle
from .attempts import attempts
from .events import Recording
from .frames import Budget, Frame
from .hypotheses import Parameter, parameters
from .interpreter import Interpreter
from .outside import outside_methods
from .scores import MOST_ATTEMPTS, hopeless, patience_of, refuses_ranks, score, unsized
from .subject_fields import subject_fields
from .symbols import SymbolTable
from .user_order import users_first
from .values import Array, Instance, Late, Partial, Unknown, Value, contains

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
  ranks: of the arrays that the first method was given; skipped: True if these ranks were ruled out before.
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
  ranks: tuple[Any, ...] = ()
  skipped: bool = False

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


def analyse(project: Any, source: Any, evidence: Evidence) -> Analysis:
  """Interprets the methods of one class under the most plausible call arguments."""
  methods = entry_methods(source)
  observed = evidence.of(source.name)
  best: Analysis | None = None
  best_seen: dict[Any, Any] = {}
  tried: list[list[tuple[int, str]]] = []
  idle = 0
  impossible: set[Any] = set()  # ranks that the methods refuse, whatever sizes the arrays share
  for choice in _choices(project, source, methods, observed):
    found, seen = _interpret(project, source, methods, observed, choice, evidence.summaries, impossible)
    if found.skipped:
      continue
    if refuses_ranks(found):
      impossible.add(found.ranks)
    idle = 0 if best is None or score(found) < score(best) else idle + 1
    if idle == 0:
      best, best_seen = found, seen
    assert best is not None
    if score(best) == 0 or found.exhausted or hopeless(tried, found) or idle >= patience_of(best):
      break
  assert best is not None
  best.users = sorted({seen.user for seen in observed})
  for owner, args, kwargs, method in best_seen.values():
    evidence.add(source.name, owner, args, kwargs, method)
  return best


def _choices(project: Any, source: Any, methods: list[str], observed: list[Observed]) -> list[int]:
  """Attempts are numbered: number k takes the k-th plausible binding of every method."""
  return list(range(min(3, len(observed)) + MOST_ATTEMPTS))


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
  impossible: set[Any],
) -> tuple[Analysis, dict[Any, Any]]:
  record, table = Recording(), SymbolTable(oracle.symbol)
  seen: dict[Any, Any] = {}
  it: Interpreter = Interpreter(project, record, table, seen.setdefault, summaries)
  subject = Instance(source, None, subject_fields(it, source, observed))
  it.subject = subject
  analysis = Analysis(source, record, table, {}, {}, subject, {}, [])
  try:
    _methods(it, analysis, methods, observed, choice, impossible)
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
  it: Interpreter,
  analysis: Analysis,
  methods: list[str],
  observed: list[Observed],
  choice: int,
  impossible: set[Any],
) -> None:
  source = analysis.source
  for name in methods:
    method = source.methods[name]
    listed = parameters(method.node)
    calls = _distinct([seen.call for seen in observed if seen.method == name])
    options = list(_take(attempts(it, name, listed, calls), choice + 1))
    analysis.exhausted = analysis.exhausted and len(options) <= choice
    attempt = options[-1] if len(options) > choice or name == '__call__' else options[0]
    bound = attempt.values
    if name == methods[0]:
      analysis.ranks = attempt.ranks
      if attempt.ranks in impossible and len(options) > choice:
        analysis.skipped = True
        return
    if attempt.note:
      it.note(method.node.lineno, attempt.note)
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
