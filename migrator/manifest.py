"""The manifest: what a migration decided about every class, written down once.

`convert` and `check` read it, so that no mapping is guessed twice.  It is plain
JSON in a stable order, described by `manifest.schema.json`.  Nothing here
imports jax or flax.
"""
from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

FORMAT = 'linen2nnx-manifest'
VERSION = 1
SCHEMA = Path(__file__).with_name('manifest.schema.json')


class ManifestError(Exception):
  """A manifest cannot be read; the message says where and what to do."""


@dataclasses.dataclass(frozen=True)
class SizeArgument:
  """A constructor argument NNX has and Linen has not, and the call argument it is read from.

  name: the NNX constructor argument, such as 'in_features' or 'x_shape'.
  method: the method whose argument tells the size, usually '__call__'; empty when no argument of
    a call tells it: then it is read off the weights whose shapes change with it.
  argument: name of that call argument; empty like `method`.
  axis: the axis of its shape; None for the whole shape.
  optional: the size is None when the call argument is not given.
  """

  name: str
  method: str = ''
  argument: str = ''
  axis: int | None = -1
  optional: bool = False

  @property
  def asked(self) -> bool:
    """Tells whether only the weights tell the size."""
    return not self.method


@dataclasses.dataclass(frozen=True)
class ModeFlag:
  """A flag that a method took in Linen and that is the mode of the model in NNX (`model.train()`, `model.eval()`).

  name: of the flag; method: that took it; position: its place behind `self`, None if it went by name only.
  training: True meant training.
  attributes: those that decide what the flag decided; False means training.
  required: it had no default; default: its default.
  """

  name: str
  method: str
  position: int | None = None
  training: bool = True
  attributes: tuple[str, ...] = ()
  required: bool = False
  default: bool | None = None

  def settings(self, value: Any) -> dict[str, Any]:
    """Returns what the attributes are to be for a value of the flag."""
    return dict.fromkeys(self.attributes, not value if self.training else value)


@dataclasses.dataclass(frozen=True)
class Submodule:
  """One creation of a submodule.

  linen: explicit path in the Linen tree; a part may be a template such as 'block_{}'
    with one {} per loop variable.
  auto: class-name prefix of an automatic name ('Dense' is Dense_<n>), '?' when the class
    is only known at run time.  Exactly one of `linen` and `auto` is set.
  nnx: attribute path; '*' is the next position of an nnx.List, '{}' the nnx.Dict key
    taken from the template, a number a fixed list position.
  cls: 'flax.linen.Dense', or 'zoo.mlp:MlpBlock' for a class of this manifest, or None.
  transparent: holds no variables under its own name (an inline Sequential or RNN, whose
    children are members of their own); it only takes an automatic number.
  """

  linen: tuple[str, ...] | None
  auto: str | None
  nnx: tuple[str, ...]
  cls: str | None
  transparent: bool = False

  def __post_init__(self) -> None:
    if (self.linen is None) == (self.auto is None):
      raise ManifestError(f'submodule at {"/".join(self.nnx)}: exactly one of linen and auto must be given')


@dataclasses.dataclass(frozen=True)
class Leaf:
  """A variable of the class itself: `linen` is its name (or template) in `collection`."""

  linen: str
  collection: str
  nnx: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Loop:
  """A body that runs any number of times."""

  body: tuple[Member, ...]


@dataclasses.dataclass(frozen=True)
class Branch:
  """Alternatives of which exactly one ran; an empty body says that none may have run."""

  bodies: tuple[tuple[Member, ...], ...]


@dataclasses.dataclass(frozen=True)
class Shared:
  """Attribute `nnx` is the same module object as path `same_as`; it has no Linen entry of its own."""

  nnx: tuple[str, ...]
  same_as: tuple[str, ...]


Member = Submodule | Leaf | Loop | Branch | Shared


def every(members: Iterable[Member]) -> Iterator[Submodule | Leaf | Shared]:
  """Yields all members, those inside loops and branches included."""
  for member in members:
    if isinstance(member, Loop):
      yield from every(member.body)
    elif isinstance(member, Branch):
      for body in member.bodies:
        yield from every(body)
    else:
      yield member


OUTCOMES = ('native', 'bridged', 'left')


@dataclasses.dataclass(frozen=True)
class ClassMap:
  """What became of one class.

  name: 'package.module:Class'.  file: posix path relative to the source root.  line: of the class.
  outcome: 'native', 'bridged' or 'left'.
  fields: Linen dataclass fields in order.
  call_fields: fields that became arguments of `__call__`.
  arguments: constructor arguments NNX has and Linen has not.
  call_arguments: arguments added to `__call__` (threaded flags).
  modes: flags that are no arguments any more, but the mode of the model.
  members: the construction program in Linen's construction order, inherited parts included.
  faces: of a class that stays Linen, the classes it uses that are NNX now; their variables have NNX names.
  """

  name: str
  file: str
  line: int
  outcome: str
  fields: tuple[str, ...] = ()
  call_fields: tuple[str, ...] = ()
  arguments: tuple[SizeArgument, ...] = ()
  call_arguments: tuple[str, ...] = ()
  members: tuple[Member, ...] = ()
  faces: tuple[str, ...] = ()
  modes: tuple[ModeFlag, ...] = ()

  def __post_init__(self) -> None:
    if self.outcome not in OUTCOMES:
      raise ManifestError(f'class {self.name}: outcome {self.outcome!r} is none of {", ".join(OUTCOMES)}')


@dataclasses.dataclass(frozen=True)
class Manifest:
  """All classes of a migration by name.  flax: the range of versions the output is written for."""

  classes: dict[str, ClassMap]
  flax: str = '>=0.12,<0.13'

  def to_json(self) -> str:
    """Returns the JSON text: classes sorted by name, members in construction order, newline at the end."""
    document = {'format': FORMAT, 'version': VERSION, 'flax': self.flax,
                'classes': {name: _encode(self.classes[name]) for name in sorted(self.classes)}}
    return json.dumps(document, indent=2, ensure_ascii=False) + '\n'

  @classmethod
  def from_json(cls, text: str) -> Manifest:
    """Reads what `to_json` wrote.

    Raises:
      ManifestError: not JSON, not a manifest, a newer version, or a malformed entry (named by its path).
    """
    document = _document(text)
    classes = _decode(dict[str, ClassMap], document.get('classes'), 'classes')
    for key, entry in classes.items():
      if key != entry.name:
        raise ManifestError(f'classes.{key}: the entry names itself {entry.name!r}; write the manifest again')
    return cls(classes, _decode(str, document.get('flax'), 'flax'))


_KINDS: dict[str, type] = {kind.__name__.lower(): kind for kind in typing.get_args(Member)}
_AGAIN = 'write it again with `linen2nnx migrate`'


def _document(text: str) -> dict[str, Any]:
  try:
    document = json.loads(text)
  except (ValueError, RecursionError) as error:
    raise ManifestError(f'the manifest is not JSON ({error}); {_AGAIN}') from error
  if not isinstance(document, dict) or document.get('format') != FORMAT:
    raise ManifestError(f'this is no manifest: it lacks "format": "{FORMAT}"; {_AGAIN}')
  version = document.get('version')
  if not isinstance(version, int) or isinstance(version, bool) or version < 1:
    raise ManifestError(f'the manifest version is {version!r}, not a positive whole number; {_AGAIN}')
  if version > VERSION:
    raise ManifestError(f'the manifest has version {version}; this program reads up to version {VERSION}: '
                        'upgrade linen2nnx')
  _refuse_unknown(document, {'format', 'version', 'flax', 'classes'}, 'manifest')
  return document


def _encode(value: Any) -> Any:
  """Turns records into JSON values; entries that equal their default are left out."""
  if isinstance(value, tuple):
    return [_encode(item) for item in value]
  if not dataclasses.is_dataclass(value):
    return value
  encoded = {'kind': type(value).__name__.lower()} if type(value) in _KINDS.values() else {}
  for field in dataclasses.fields(value):
    entry = getattr(value, field.name)
    absent = entry is None and field.name in ('linen', 'auto', 'cls')
    if not absent and (field.default is dataclasses.MISSING or entry != field.default):
      encoded[field.name] = _encode(entry)
  return encoded


def _decode(kind: Any, value: Any, where: str) -> Any:
  """Builds a value of the annotated type `kind` from JSON; `where` is the path for messages."""
  origin, inner = typing.get_origin(kind), typing.get_args(kind)
  if kind == Member:
    return _decode_member(value, where)
  if origin in (typing.Union, types.UnionType):
    return None if value is None else _decode(inner[0], value, where)
  if origin is tuple:
    items = _typed(list, value, where)
    return tuple(_decode(inner[0], item, f'{where}[{k}]') for k, item in enumerate(items))
  if origin is dict:
    entries = _typed(dict, value, where)
    return {key: _decode(inner[1], item, f'{where}.{key}') for key, item in entries.items()}
  if dataclasses.is_dataclass(kind):
    return _decode_record(typing.cast(type, kind), _typed(dict, value, where), where)
  return _typed(kind, value, where)


def _decode_member(value: Any, where: str) -> Any:
  entry = dict(_typed(dict, value, where))
  kind = entry.pop('kind', None)
  if kind not in _KINDS:
    raise ManifestError(f'{where}: kind {kind!r} is none of {", ".join(_KINDS)}; {_AGAIN}')
  return _decode_record(_KINDS[kind], entry, where)


def _decode_record(kind: type, entry: dict[str, Any], where: str) -> Any:
  hints = typing.get_type_hints(kind)
  _refuse_unknown(entry, set(hints), where)
  arguments: dict[str, Any] = {}
  for field in dataclasses.fields(kind):
    nullable = type(None) in typing.get_args(hints[field.name])
    if field.name in entry:
      arguments[field.name] = _decode(hints[field.name], entry[field.name], f'{where}.{field.name}')
    elif field.default is dataclasses.MISSING and not nullable:
      raise ManifestError(f'{where}: {field.name!r} is missing; {_AGAIN}')
    elif field.default is dataclasses.MISSING:
      arguments[field.name] = None
  try:
    return kind(**arguments)
  except ManifestError as error:
    raise ManifestError(f'{where}: {error}; {_AGAIN}') from None


def _typed(kind: type, value: Any, where: str) -> Any:
  if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
    return value
  raise ManifestError(f'{where}: expected {kind.__name__}, found {type(value).__name__}; {_AGAIN}')


def _refuse_unknown(entry: dict[str, Any], known: set[str], where: str) -> None:
  unknown = sorted(set(entry) - known)
  if unknown:
    raise ManifestError(f'{where}: unknown entry {unknown[0]!r}; {_AGAIN}')
