"""The record types: what one file in `rewrites/` says about one Linen thing.

A record is data.  The codemod, the weight map, the rules page and the tests
are all derived from it, so a new layer touches exactly one file.  Nothing here
imports jax or flax: records name Flax things by dotted string, and functions
inside a record get plain facts.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any


class _Missing:
  """The default of an argument that has none."""

  def __repr__(self) -> str:
    return 'REQUIRED'


REQUIRED = _Missing()


class _Same:
  """A spelling that does not differ from the default."""

  def __repr__(self) -> str:
    return 'SAME'


SAME = _Same()


@dataclasses.dataclass(frozen=True)
class Source:
  """A default value that is best given by a dotted name, such as `flax.linen.initializers.zeros_init()`."""

  text: str


@dataclasses.dataclass(frozen=True)
class Argument:
  """One constructor argument of a Linen layer, in Linen's positional order.

  linen: name of the Linen argument.
  nnx: name of the NNX argument; None when NNX has none.
  linen_default, nnx_default: the defaults on both sides (REQUIRED if none).  Where
    they differ the codemod writes the Linen default out, so that the meaning is kept.
  keyword: True when NNX takes the argument by keyword only.
  on_call: name of the NNX call argument that takes the value when it is only
    known at the call (flags such as `deterministic=not train`); None when a
    value that depends on the call cannot be honoured.
  unsupported: reason why a value other than the default cannot be written in NNX;
    None when it can.  An argument without an NNX name and without a reason is simply
    left out (a size or another argument says it).
  wrap: helper function that makes a value of the user fit NNX's calling convention,
    `nnx=helper(value)`; whoever writes it may ignore `unsupported`.
  linen_spelled, nnx_spelled: the default as the signature has it, where it is another
    object with the same effect (Linen's `dot_general=None` is NNX's `lax.dot_general`).
  slip: factor by which a mistake of whoever writes it changes a number; None where no such mistake is made.
  """

  linen: str
  nnx: str | None
  linen_default: Any = REQUIRED
  nnx_default: Any = REQUIRED
  keyword: bool = True
  on_call: str | None = None
  unsupported: str | None = None
  wrap: Helper | None = None
  linen_spelled: Any = SAME
  nnx_spelled: Any = SAME
  slip: float | None = None


@dataclasses.dataclass(frozen=True)
class CallArgument:
  """One `__call__` argument: Linen name in positional order, NNX name, None if NNX has none.

  keyword: True when NNX takes it by keyword only.
  """

  linen: str
  nnx: str | None
  keyword: bool = False


@dataclasses.dataclass(frozen=True)
class Facts:
  """What is known of one creation of a layer, given to the functions of a record.

  arguments: Linen constructor arguments by name; a literal value where the source
    has one, else `Unknown`; absent when the source does not give the argument.
  shapes: shape of each array given to the call, by the name of the Linen call
    argument; the dims are opaque to records (pick them, reorder them, never compute
    with them).
  """

  arguments: Mapping[str, Any]
  shapes: Mapping[str, tuple[Any, ...]]


@dataclasses.dataclass(frozen=True)
class Unknown:
  """A constructor argument given by an expression that is not a literal."""

  text: str


@dataclasses.dataclass(frozen=True)
class Size:
  """An NNX size argument that Linen reads from the array at the call.

  nnx: the NNX argument name.
  of: function of `Facts` returning one dim, a tuple of dims, a dict {int: dim}, or None
    when the argument is to be left out; raises `NotDerivable` with a reason when the
    facts do not tell.
  keyword: write `nnx=...` instead of a leading positional argument.
  """

  nnx: str
  of: Callable[[Facts], Any]
  keyword: bool = False


class NotDerivable(Exception):
  """A size or an argument cannot be derived from the facts; the message is the reason."""


@dataclasses.dataclass(frozen=True)
class Rename:
  """A leaf (or subtree) with the same array at another path in the layer: `if/kernel` -> `if_/kernel`."""

  linen: str
  nnx: str


@dataclasses.dataclass(frozen=True)
class Concatenate:
  """Several Linen leaves that are one NNX leaf: concatenated along `axis` in the given order."""

  linen: tuple[str, ...]
  nnx: str
  axis: int = -1


@dataclasses.dataclass(frozen=True)
class Child:
  """A submodule handed to the constructor: Linen argument `cell` is NNX attribute path `cell`.

  many: the argument is a list of modules (Sequential): NNX path gets the position appended,
    the Linen name inside a setup-made module is `linen_name` with `{}` for the position.
  """

  argument: str
  nnx: str
  linen_name: str
  many: bool = False


@dataclasses.dataclass(frozen=True)
class Helper:
  """A native NNX class or function written into the user's helper file.

  name: the public name in that file.
  source: the complete source text of the definition, without imports.
  imports: import lines it needs, such as 'from flax import nnx'.
  uses: names of other helpers it needs.
  """

  name: str
  source: str
  imports: tuple[str, ...] = ('from flax import nnx', 'import jax', 'import jax.numpy as jnp')
  uses: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Sample:
  """Arguments and input that exercise a layer: the derived tests build both sides from it.

  The texts are Python expressions evaluated with `nn`, `nnx`, `jnp`, `jax`, `np`, `functools` and
  `normal(*shape)` / `integers(high, *shape)` (deterministic arrays) in scope.

  linen: constructor expression, for instance "nn.Dense(5)".
  nnx: the same layer in NNX, for instance "nnx.Linear(3, 5, rngs=rngs)"; helpers are in scope by name.
  inputs: positional call arguments as expressions.
  call: keyword call arguments of the Linen side as text, and of the NNX side.
  collections: mutable collections to compare after the call, e.g. ('batch_stats',).
  exact: expected to be bit-identical; otherwise `tolerance` is the largest absolute difference.
  prepare: expression evaluated with the NNX layer as `module` before the call (`module.init_cache(...)`).
  linen_init: positional arguments for Linen's `init` when they differ from `inputs`.
  """

  linen: str
  nnx: str
  inputs: tuple[str, ...] = ('normal(4, 3)',)
  linen_call: str = ''
  nnx_call: str = ''
  collections: tuple[str, ...] = ()
  exact: bool = True
  tolerance: float = 0.0
  gradient: bool = True
  prepare: str = ''
  linen_init: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Example:
  """Before and after of one rewrite, as two small programs; after is None for a no-op."""

  before: str
  after: str | None


@dataclasses.dataclass(frozen=True)
class Layer:
  """Everything the project knows about one Linen layer.

  linen: qualified Linen names that mean this layer; the first is the canonical one.
  nnx: qualified NNX name, or the bare name of `helper` when NNX has no exact counterpart.
  member: stem of an automatic attribute name ('linear' for nnx.Linear).
  arguments: constructor arguments in Linen's positional order (without name/parent).
  sizes: NNX size arguments, in NNX positional order; written first.
  added: NNX arguments written always unless the source gives them, as source text.
  rngs: whether the NNX constructor takes `rngs=`: True, False, or a function of Facts.
  call: `__call__` arguments in Linen's positional order; the first is the input.
  star_argument: a Linen argument whose list is spread into positional arguments (Sequential).
  reorder: True when the arguments that are positional in NNX have another order than in
    Linen, so that all of them are written by keyword.
  refuse: function of Facts returning a reason why this creation cannot be native, or None.
  parameters: Rename / Concatenate rows; leaves without a row keep their path.
  children: submodules among the constructor arguments.
  collections: Linen collections the layer may hold.
  helper: native class to write into the user's repository, when `nnx` names it.
  exact_helper: for numerics='exact': {nnx argument: Helper}, passed as that argument when
    `exact_when(facts)` says so; `exact_arguments(record, facts)` answers it.
  exact_each: a further condition for single entries of `exact_helper`.
  numerics: 'exact' when the NNX layer gives Linen's bits, 'rounding' when only the order of
    rounding differs.
  """

  linen: tuple[str, ...]
  nnx: str
  member: str
  arguments: tuple[Argument, ...] = ()
  sizes: tuple[Size, ...] = ()
  added: Mapping[str, str] = dataclasses.field(default_factory=dict)
  rngs: bool | Callable[[Facts], bool] = True
  call: tuple[CallArgument, ...] = (CallArgument('inputs', 'inputs'),)
  star_argument: str | None = None
  reorder: bool = False
  refuse: Callable[[Facts], str | None] | None = None
  parameters: tuple[Rename | Concatenate, ...] = ()
  children: tuple[Child, ...] = ()
  collections: tuple[str, ...] = ('params',)
  helper: Helper | None = None
  exact_helper: Mapping[str, Helper] = dataclasses.field(default_factory=dict)
  exact_when: Callable[[Facts], bool] | None = None
  exact_each: Mapping[str, Callable[[Facts], bool]] = dataclasses.field(default_factory=dict)
  numerics: str = 'exact'
  flax: str = '>=0.12,<0.13'
  notes: str = ''
  examples: tuple[Example, ...] = ()
  samples: tuple[Sample, ...] = ()


@dataclasses.dataclass(frozen=True)
class Functions:
  """Functions and constants that only change their qualified name.

  names: {Linen qualified name: NNX (or jax) qualified name}.
  helpers: {Linen qualified name: Helper} for functions that NNX does not have; the
    helper is called with the arguments the Linen function got.
  exact: {Linen qualified name: Helper} for numerics='exact', where the function in
    `names` rounds in another order than Linen's.
  forgettable: bare names of functions of one array, which a mistake leaves out (activations).
  slips: numbers among the arguments, and the factor by which a mistake changes them.
  examples: before and after programs.
  """

  names: Mapping[str, str] = dataclasses.field(default_factory=dict)
  helpers: Mapping[str, Helper] = dataclasses.field(default_factory=dict)
  exact: Mapping[str, Helper] = dataclasses.field(default_factory=dict)
  forgettable: tuple[str, ...] = ()
  slips: Mapping[str, float] = dataclasses.field(default_factory=dict)
  examples: tuple[Example, ...] = ()
  notes: str = ''


@dataclasses.dataclass(frozen=True)
class Manual:
  """Linen names that have no rewrite yet, with the reason shown to the user."""

  names: Mapping[str, str]


Record = Layer | Functions | Manual


def first_argument(record: Layer) -> str:
  """Returns the Linen name of the call argument that holds the input array."""
  return record.call[0].linen


def argument_named(record: Layer, name: str) -> Argument | None:
  """Returns the constructor argument with the Linen name `name`, or None."""
  return next((argument for argument in record.arguments if argument.linen == name), None)


def names_in_order(record: Layer) -> Sequence[str]:
  """Returns the Linen constructor argument names in positional order."""
  return [argument.linen for argument in record.arguments]


def exact_arguments(record: Layer, facts: Facts) -> dict[str, Helper]:
  """Returns {NNX argument: Helper} to pass for numerics='exact'; empty if the bits agree anyway."""
  if record.exact_when is None or not record.exact_when(facts):
    return {}
  helpers, conditions = record.exact_helper, record.exact_each
  return {name: helpers[name] for name in helpers if name not in conditions or conditions[name](facts)}
