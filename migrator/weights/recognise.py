"""What a restored tree is: a variables dict, bare parameters, or a train state."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from migrator.manifest import Leaf, Manifest, every
from migrator.weights.errors import WeightsError
from migrator.weights.variables import leaves, unbox

STANDARD = frozenset({'params', 'batch_stats', 'cache'})


@dataclasses.dataclass(frozen=True)
class Recognised:
  """kind: 'variables', 'params' or 'train state'.

  variables: {collection: tree}.  step, opt_state: None when absent.
  extra: other entries of a train state.  notes: what was assumed, for the report.
  """

  kind: str
  variables: dict[str, Any]
  step: Any = None
  opt_state: Any = None
  extra: dict[str, Any] = dataclasses.field(default_factory=dict)
  notes: tuple[str, ...] = ()


def recognise(tree: Any, manifest: Manifest) -> Recognised:
  """Returns what the tree holds.  Raises WeightsError for a tree that is none of the known kinds."""
  if not isinstance(tree, Mapping) or not tree:
    raise WeightsError(f'the checkpoint holds {type(tree).__name__}, no tree of weights; '
                       'give a variables dict, its params, or a train state')
  known = STANDARD | collections_of(manifest)
  if 'params' in tree and {'step', 'opt_state'} & set(tree):
    return _train_state(tree, known)
  if 'params' in tree and isinstance(unbox(tree['params']), Mapping):
    return _variables(tree, known)
  return Recognised('params', {'params': tree}, notes=(
    "no 'params' entry at the top: the whole tree is taken as the params collection",))


def collections_of(manifest: Manifest) -> frozenset[str]:
  """Returns the collections that the classes of the manifest declare themselves."""
  return frozenset(member.collection for entry in manifest.classes.values()
                   for member in every(entry.members) if isinstance(member, Leaf))


def _variables(tree: Mapping[str, Any], known: frozenset[str]) -> Recognised:
  there = {name: value for name, value in tree.items() if value is not None}
  params = _paths(there['params'])
  extra = {name: value for name, value in there.items() if not isinstance(unbox(value), Mapping)
           or (name not in known and _paths(value) == params)}
  found = {name: value for name, value in there.items() if name not in extra}
  notes = [f'entry {name!r} is taken as a variable collection' for name in sorted(set(found) - known)]
  notes += [f'entry {name!r} is a copy of the params and is mapped as they are' if isinstance(unbox(value), Mapping)
            else f'entry {name!r} is carried over' for name, value in sorted(extra.items())]
  return Recognised('train state' if extra else 'variables', found, extra=extra, notes=tuple(notes))


def _paths(tree: Any) -> frozenset[tuple[str, ...]]:
  return frozenset(path for path, _ in leaves(tree))


def _is_lookahead(params: Any) -> bool:
  """Whether these are optax.LookaheadParams: two copies of the same parameters."""
  return (isinstance(params, Mapping) and set(params) == {'fast', 'slow'}
          and _paths(params['fast']) == _paths(params['slow']))


def _train_state(tree: Mapping[str, Any], known: frozenset[str]) -> Recognised:
  params, notes, fast = unbox(tree['params']), [], None
  if _is_lookahead(params):
    params, fast = params['slow'], params['fast']
    notes.append("the params are those of optax.lookahead: the slow ones are the model's, the fast ones are "
                 "'params_fast'")
  if isinstance(params, Mapping) and 'params' in params and set(params) <= known:
    variables = dict(params)
    notes.append("the train state's params hold a whole variables dict")
  else:
    variables = {'params': params}
  rest = {name: value for name, value in tree.items() if name not in ('params', 'step', 'opt_state')}
  if fast is not None:
    rest['params_fast'] = fast
  for name in sorted(set(rest) & known):
    if name in variables:
      raise WeightsError(f'collection {name!r} is there twice, in params and beside it; remove one')
    value = rest.pop(name)
    if value is not None:
      variables[name] = value
  notes += [f'entry {name!r} is carried over' for name in sorted(rest)]
  return Recognised('train state', variables, tree.get('step'), tree.get('opt_state'), rest, tuple(notes))
