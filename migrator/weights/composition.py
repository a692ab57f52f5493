"""Composes the leaf map of a concrete model from the manifest and what is really there."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from migrator.manifest import Manifest
from migrator.weights.errors import AmbiguousError, WeightsError
from migrator.weights.layer_rules import RelativeRule
from migrator.weights.leaf_map import LeafMap, LinenPath, NnxPath, Rule, order, refuse_duplicates, show
from migrator.weights.trees import LinenTree, NnxTree, Path, text
from migrator.weights.walk import DEEPEST, LayerFor, Walk
from migrator.weights.walk_state import WRONG, Outcome, State

if TYPE_CHECKING:
  from rewrites.record import Layer


def compose(manifest: Manifest, class_name: str, linen_tree_paths: Iterable[LinenPath],
            nnx_paths: Iterable[NnxPath] | None = None, *, aliases: Mapping[NnxPath, NnxPath] | None = None,
            classes: Mapping[NnxPath, str] | None = None, layer_for: LayerFor | None = None) -> LeafMap:
  """Returns the leaf map of a model from the leaves of its Linen tree.

  Args:
    manifest: what the migration decided.
    class_name: the root class, 'package.module:Class'.
    linen_tree_paths: every leaf path with its collection, ('params', 'Dense_0', 'kernel').
    nnx_paths: every leaf path of the NNX model that is a weight, as in nnx.state; None when
      no model is at hand, then the tree alone decides.
    aliases: other paths of shared NNX leaves -> their path in nnx.state.
    classes: names of the classes of the model's modules, for fields that hold a module of any class.
    layer_for: the record of a Linen layer; the registry of `rewrites` when absent.

  Raises:
    AmbiguousError: several maps fit; the candidates are named.
    WeightsError: leaves of either side that have no counterpart, all of them.
  """
  linen = LinenTree(linen_tree_paths)
  nnx = None if nnx_paths is None else _nnx_tree(dict.fromkeys(nnx_paths, ''), aliases, classes)
  walk, outcome = _walked(manifest, class_name, layer_for or registered, linen, nnx)
  rules, problems = _rules(walk, outcome)
  given = {(collection, *path) for collection, path in linen.leaves(())}
  return _checked(class_name, outcome, rules, problems, given, walk.nnx)


def compose_from_nnx(manifest: Manifest, class_name: str, nnx_collections: Mapping[NnxPath, str], *,
                     aliases: Mapping[NnxPath, NnxPath] | None = None, classes: Mapping[NnxPath, str] | None = None,
                     layer_for: LayerFor | None = None) -> LeafMap:
  """Returns the leaf map from the NNX leaves alone: {path: Linen collection}.

  Raises:
    AmbiguousError, WeightsError: also where a Linen name cannot be told from NNX
      (templates whose values became list positions, fields whose class is unknown).
  """
  nnx = _nnx_tree(nnx_collections, aliases, classes)
  walk, outcome = _walked(manifest, class_name, layer_for or registered, None, nnx)
  rules, problems = _rules(walk, outcome)
  return _checked(class_name, outcome, rules, problems, None, walk.nnx)


def _walked(manifest: Manifest, class_name: str, layer_for: LayerFor, linen: LinenTree | None,
            nnx: NnxTree | None) -> tuple[Walk, Outcome]:
  """Walks until the sharing that the manifest tells of is known: paths alone do not show it."""
  while True:
    walk = Walk(manifest, layer_for, linen, nnx)
    outcome = walk.module(class_name)
    shared = [pair for state in _states(outcome) for pair in state.shared]
    more = {} if nnx is None else _told_aliases(nnx, shared)
    if nnx is None or not more:
      return walk, outcome
    nnx = nnx.with_aliases(more)


def _told_aliases(nnx: NnxTree, shared: list[tuple[NnxPath, NnxPath]]) -> dict[Path, Path]:
  """Returns the other paths of leaves below the attributes that the manifest calls the same module."""
  pairs = [(text(old), text(new)) for pair in shared for old, new in (pair, pair[::-1])]
  found = {(*new, *leaf[len(old):]): nnx.canonical(leaf) for old, new in pairs for leaf in nnx.leaves(old)}
  known = {*nnx.collections, *nnx.aliases}
  return {alias: leaf for alias, leaf in found.items() if alias not in known and len(alias) < DEEPEST}


def registered(name: str) -> Layer | None:
  """Returns the record of a Linen layer."""
  from rewrites import registry
  return registry.layer_for(name)


def _nnx_tree(collections: Mapping[NnxPath, str], aliases: Mapping[NnxPath, NnxPath] | None,
              classes: Mapping[NnxPath, str] | None = None) -> NnxTree:
  named = {text(alias): text(path) for alias, path in (aliases or {}).items()}
  tree = NnxTree({text(path): collection for path, collection in collections.items()}, named)
  tree.typed = {text(path): path for path in collections}
  tree.classes = {text(path): name for path, name in (classes or {}).items()}
  return tree


def _rules(walk: Walk, outcome: Outcome) -> tuple[list[Rule], list[str]]:
  rules: list[Rule] = []
  problems: list[str] = []
  shared: list[tuple[NnxPath, NnxPath]] = []
  for state in _states(outcome):
    shared += state.shared
    problems += state.problems
    for placed in state.placed:
      if placed.inside is None:
        found, missing = walk.relative_rules(placed)
        problems += [f'Linen leaf {show(placed.linen)}/{name} is missing' for name in missing]
        rules += [_absolute(placed.linen, placed.nnx, rule) for rule in found]
  return [_canonical(rule, walk.nnx, shared) for rule in rules], problems


def _states(outcome: Outcome) -> Iterator[State]:
  for found in _outcomes(outcome):
    yield found.state


def _absolute(linen: Path, nnx: NnxPath, rule: RelativeRule) -> Rule:
  path, sources, axis = rule
  return Rule((*nnx, *path), tuple((collection, *linen, *source) for collection, source in sources), axis)


def _canonical(rule: Rule, tree: NnxTree | None, shared: list[tuple[NnxPath, NnxPath]]) -> Rule:
  """The path nnx.state uses: known from the model, else the first in order of the shared attributes."""
  if tree is not None and (tree.aliases or text(rule.nnx) in tree.collections):
    path = tree.canonical(text(rule.nnx))
    return Rule(tree.typed.get(path, rule.nnx), rule.linen, rule.axis)
  seen = {rule.nnx}
  for _ in shared:
    seen |= {(*new, *path[len(old):]) for path in seen for pair in shared
             for old, new in (pair, pair[::-1]) if path[:len(old)] == old and len(path) < DEEPEST}
  if tree is not None:
    inside = [tree.typed[text(path)] for path in seen if text(path) in tree.collections]
    return Rule(min(inside, key=order, default=rule.nnx), rule.linen, rule.axis)
  return Rule(min(seen, key=order), rule.linen, rule.axis)


def _checked(class_name: str, outcome: Outcome, rules: list[Rule], problems: list[str],
             linen: set[LinenPath] | None, nnx: NnxTree | None) -> LeafMap:
  used = {path for rule in rules for path in rule.linen}
  if linen is not None:
    problems += [f'Linen leaf {show(path)} has no NNX counterpart' for path in sorted(linen - used)]
  if nnx is not None:
    made = {text(rule.nnx) for rule in rules}
    alone = sorted(set(nnx.collections) - made)
    problems += [f'NNX leaf {show(path)} has no Linen counterpart' for path in alone]
    problems += [f'Linen leaf {show(rule.linen[0])} has no NNX counterpart: the model has no {show(rule.nnx)}'
                 for rule in rules if text(rule.nnx) not in nnx.collections]
  if problems:
    raise WeightsError(f'the tree does not fit class {class_name}; compare the checkpoint with the source '
                       'it was trained from, and the manifest with that source:', sorted(set(problems)))
  _refuse_rivals(class_name, outcome)
  if outcome.cost >= WRONG:
    raise WeightsError(f'the tree does not fit the construction program of class {class_name}; '
                       'migrate the source again to refresh the manifest')
  refuse_duplicates(rules)
  return LeafMap(tuple(sorted(rules, key=lambda rule: order(rule.nnx))))


def _refuse_rivals(class_name: str, outcome: Outcome) -> None:
  for found in _outcomes(outcome):
    if found.rivals:
      choices = [_describe(state) for state in (found.state, *found.rivals)]
      raise AmbiguousError(f'class {class_name}: several maps fit the tree; give the NNX model (--model) so '
                           'that its attributes decide.  Candidates:', choices)


def _outcomes(outcome: Outcome) -> Iterator[Outcome]:
  yield outcome
  for placed in outcome.state.placed:
    if placed.inside is not None:
      yield from _outcomes(placed.inside)


def _describe(state: State) -> str:
  return ', '.join(f'{show(placed.linen)} -> {show(placed.nnx)}' for placed in state.placed)
