"""The plan of one class: pure data that the writer turns into text and the manifest into a map."""

from __future__ import annotations

import ast
import dataclasses
from typing import Any

from migrator.manifest import ModeFlag, SizeArgument
from rewrites.record import Helper, Layer


@dataclasses.dataclass(eq=False)
class Member:
  """One submodule, parameter or variable of the class.

  creation: the event; attribute: the NNX attribute; listed: it is appended to an nnx.List in a loop.
  key: the loop variable that names it in an nnx.Dict instead; key_text, key_part: the key as
    an expression and as a template.
  inside: the member whose constructor call holds this creation as an argument; slot: its path in there.
  container: the list or dict expression that holds the creation.
  on_call: NNX call arguments that move from the constructor to every call, by name, with the expression
    and whether it stands in this class.
  threaded: call arguments of the child that this class passes on.
  stays: the class, if it stays Linen and is reached through nnx.bridge.
  extended: it stands in a list that `setup` makes longer with `+=`.
  alternatives: the same creation as it makes other classes, on conditions of its own.
  lazy: a variable that is made by the first call that needs it, since its first value depends on the call or the
    class asks whether it exists.
  guard: the condition of a method, its branch, and the method, where Linen makes weights for the layer; elsewhere
    the layer is applied with weights of other layers. without_weights: it only ever is.
  """

  creation: Any
  attribute: str
  record: Layer | None = None
  child: ClassPlan | None = None
  listed: bool = False
  key: str | None = None
  key_text: str = ''
  key_part: str = '{}'
  name_node: ast.expr | None = None
  inside: Member | None = None
  slot: tuple[str, ...] = ()
  container: ast.expr | None = None
  on_call: dict[str, ast.expr] = dataclasses.field(default_factory=dict)
  from_setup: bool = False
  lazy: bool = False
  linen: tuple[str, ...] | None = None
  auto: str | None = None
  stays: ClassPlan | None = None
  guard: tuple[ast.expr, str, Any] | None = None
  without_weights: bool = False
  extended: bool = False
  alternatives: list[Member] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(eq=False)
class ClassPlan:
  """What is to be done with one class.

  outcome: 'native', 'helper', 'bridged' or 'left'; reasons why not native.
  size_arguments: constructor arguments NNX has and Linen has not.
  merged: fields that `__call__` merges with its argument of the same name (nn.merge_param).
  call_fields: fields that become arguments of `__call__`: name -> parameter text.
  threaded: flags of the user class that are passed through `__call__`: name -> parameter text.
  modes: flags of methods that follow the mode of the model instead; dropped: names that went with them.
  text: the new text of the class; imports, helpers: what it needs.
  collections: custom variable classes it needs, class name -> Linen collection.
  chosen: it stays Linen because the user says so.
  """

  source: Any
  analysis: Any
  outcome: str = 'native'
  reasons: list[str] = dataclasses.field(default_factory=list)
  assumptions: list[str] = dataclasses.field(default_factory=list)
  members: list[Member] = dataclasses.field(default_factory=list)
  size_arguments: list[SizeArgument] = dataclasses.field(default_factory=list)
  merged: set[str] = dataclasses.field(default_factory=set)
  call_fields: dict[str, str] = dataclasses.field(default_factory=dict)
  threaded: dict[str, str] = dataclasses.field(default_factory=dict)
  modes: tuple[ModeFlag, ...] = ()
  dropped: set[str] = dataclasses.field(default_factory=set)
  text: str = ''
  helpers: dict[str, Helper] = dataclasses.field(default_factory=dict)
  collections: dict[str, str] = dataclasses.field(default_factory=dict)
  imports: set[tuple[str, str | None]] = dataclasses.field(default_factory=set)
  size_texts: dict[str, str] = dataclasses.field(default_factory=dict)
  chosen: bool = False

  @property
  def name(self) -> str:
    return self.source.name

  @property
  def native(self) -> bool:
    return self.outcome in ('native', 'helper')


BUILT_IN_COLLECTIONS = {
  'params': 'nnx.Param',
  'batch_stats': 'nnx.BatchStat',
  'cache': 'nnx.Cache',
  'intermediates': 'nnx.Intermediate',
  'perturbations': 'nnx.Perturbation',
}


def variable_class(plan: ClassPlan, collection: str) -> str:
  """Returns the NNX variable class of a collection; a custom one is made known to the plan."""
  if collection in BUILT_IN_COLLECTIONS:
    return BUILT_IN_COLLECTIONS[collection]
  name = ''.join(part[:1].upper() + part[1:] for part in collection.replace('-', '_').split('_')) or 'Custom'
  plan.collections[name] = collection
  return name
