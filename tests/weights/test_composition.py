"""Composing: random construction programs, and the cases where the tree alone does not decide."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pairs import auto, named

from migrator.manifest import Branch, ClassMap, Leaf, Loop, Manifest, Shared, Submodule
from migrator.weights import AmbiguousError, WeightsError, compose, compose_from_nnx
from migrator.weights.leaf_map import LeafMap, Rule
from migrator.weights.transform import backward, forward


def manifest(*members, **others):
  classes = {'m:Root': members, **{f'm:{name}': rows for name, rows in others.items()}}
  return Manifest({name: ClassMap(name, 'm.py', 1, 'native', members=tuple(rows))
                   for name, rows in classes.items()})


class Run:
  """Runs a random construction program: what Linen would name each leaf, and where NNX keeps it."""

  def __init__(self, draw):
    self.draw, self.pairs, self.programs = draw, {}, {}

  def module(self, depth, linen, nnx):
    counters, members, size = {}, [], self.draw(st.integers(1, 4))
    for k in range(size):
      kind = self.draw(st.sampled_from(['auto', 'named', 'leaf', 'loop', 'template', 'dict', 'branch']
                                       + ['nested'] * (depth < 2)))
      members.append(getattr(self, kind)(f'm{k}', depth, linen, nnx, counters))
    return tuple(members)

  def dense(self, linen, nnx):
    for name in ('kernel', 'bias'):
      self.pairs[('params', *linen, name)] = (*nnx, name)

  def number(self, prefix, counters):
    counters[prefix] = counters.get(prefix, 0) + 1
    return f'{prefix}_{counters[prefix] - 1}'

  def auto(self, name, depth, linen, nnx, counters):
    self.dense((*linen, self.number('Dense', counters)), (*nnx, name))
    return auto('Dense', name)

  def named(self, name, depth, linen, nnx, counters):
    self.dense((*linen, name + 'x'), (*nnx, name))
    return named(name + 'x', 'Dense', name)

  def leaf(self, name, depth, linen, nnx, counters):
    collection = self.draw(st.sampled_from(['params', 'stats']))
    self.pairs[(collection, *linen, name)] = (*nnx, name)
    return Leaf(name, collection, (name,))

  def loop(self, name, depth, linen, nnx, counters):
    prefix = f'Layer{name}'
    for k in range(self.draw(st.integers(0, 12))):
      self.dense((*linen, self.number(prefix, counters)), (*nnx, name, k))
    return Loop((auto(prefix, name, '*', cls='flax.linen.Dense'),))

  def template(self, name, depth, linen, nnx, counters):
    start = self.draw(st.integers(0, 3))
    for k in range(self.draw(st.integers(0, 12))):
      self.dense((*linen, f'{name}_{k + start}'), (*nnx, name, k))
    return Loop((named(name + '_{}', 'Dense', name, '*'),))

  def dict(self, name, depth, linen, nnx, counters):
    for key in self.draw(st.sets(st.sampled_from(['a', 'b_c', '0', 'kernel']))):
      self.dense((*linen, f'{name}_{key}'), (*nnx, name, key))
    return Loop((named(name + '_{}', 'Dense', name, '{}'),))

  def branch(self, name, depth, linen, nnx, counters):
    names = [name + 'p', name + 'q', None]
    taken = self.draw(st.sampled_from(names))
    if taken:
      self.dense((*linen, taken), (*nnx, taken))
    return Branch(tuple((named(body, 'Dense', body),) if body else () for body in names))

  def nested(self, name, depth, linen, nnx, counters):
    key = f'm:C{len(self.programs)}'
    self.programs[key] = ()
    below = (*linen, self.number('Inner', counters))
    self.programs[key] = self.module(depth + 1, below, (*nnx, name))
    return auto('Inner', name, cls=key)


@st.composite
def runs(draw):
  run = Run(draw)
  members = run.module(0, (), ())
  return manifest(*members, **{name[2:]: rows for name, rows in run.programs.items()}), run.pairs


@given(runs())
@settings(max_examples=150, deadline=None)
def test_random_programs_compose_to_what_ran(run):
  program, pairs = run
  expected = {rule_path: source for source, rule_path in pairs.items()}
  for nnx_paths in (None, list(pairs.values())):
    leaf_map = compose(program, 'm:Root', pairs, nnx_paths)
    assert {rule.nnx: rule.linen[0] for rule in leaf_map} == expected
    assert (leaf_map.linen_paths(), leaf_map.nnx_paths()) == (set(pairs), set(pairs.values()))


@given(runs(), st.data())
@settings(max_examples=60, deadline=None)
def test_a_missing_or_extra_leaf_never_passes_with_a_model(run, data):
  program, pairs = run
  if not pairs:
    return
  lost = data.draw(st.sampled_from(sorted(pairs)))
  with pytest.raises(WeightsError):
    compose(program, 'm:Root', set(pairs) - {lost}, pairs.values())
  with pytest.raises(WeightsError):
    compose(program, 'm:Root', pairs, set(pairs.values()) - {pairs[lost]})
  with pytest.raises(WeightsError):
    compose(program, 'm:Root', [*pairs, ('params', 'stray', 'kernel')], pairs.values())


SIZES = st.lists(st.integers(1, 3), min_size=2, max_size=4)


@given(SIZES, st.integers(-2, 1), st.sampled_from(['float32', 'bfloat16', 'int8', 'complex64', 'bool']))
@settings(max_examples=50, deadline=None)
def test_concatenation_is_undone_exactly(sizes, axis, dtype):
  import ml_dtypes  # numpy learns bfloat16 by this
  kind = np.dtype(ml_dtypes.bfloat16 if dtype == 'bfloat16' else dtype)
  random = np.random.default_rng(0)
  shapes = [(size, 2) if axis in (0, -2) else (2, size) for size in sizes]
  parts = {('params', str(k)): np.frombuffer(random.bytes(kind.itemsize * size * 2), kind).reshape(shape)
           for k, (size, shape) in enumerate(zip(sizes, shapes, strict=True))}
  leaf_map = LeafMap((Rule(('fused',), tuple(parts), axis),))
  back = backward(leaf_map, forward(leaf_map, parts), parts)
  assert {path: (value.dtype, value.shape, value.tobytes()) for path, value in back.items()} == {
    path: (value.dtype, value.shape, value.tobytes()) for path, value in parts.items()}


def test_branches_with_the_same_names_need_the_model():
  program = manifest(Branch(((auto('Dense', 'a'),), (auto('Dense', 'b'),))))
  tree = [('params', 'Dense_0', 'kernel')]
  with pytest.raises(AmbiguousError, match='Dense_0 -> a\n  Dense_0 -> b'):
    compose(program, 'm:Root', tree)
  assert compose(program, 'm:Root', tree, [('b', 'kernel')]).rules[0].nnx == ('b', 'kernel')


def test_two_loops_over_one_prefix_need_the_model():
  program = manifest(Loop((auto('Dense', 'a', '*'),)), Loop((auto('Dense', 'b', '*'),)))
  tree = [('params', f'Dense_{k}', 'kernel') for k in range(3)]
  with pytest.raises(AmbiguousError):
    compose(program, 'm:Root', tree)
  leaf_map = compose(program, 'm:Root', tree, [('a', 0, 'kernel'), ('b', 0, 'kernel'), ('b', 1, 'kernel')])
  assert [rule.linen[0][1] for rule in leaf_map] == ['Dense_0', 'Dense_1', 'Dense_2']


def test_fields_of_unknown_class_are_told_apart_by_their_leaves():
  program = manifest(Submodule(None, '?', ('norm',), None), Submodule(None, '?', ('layer',), None))
  tree = [('params', 'LayerNorm_0', 'scale'), ('params', 'Dense_0', 'kernel')]
  with pytest.raises(AmbiguousError):
    compose(program, 'm:Root', tree)
  leaf_map = compose(program, 'm:Root', tree, [('norm', 'scale'), ('layer', 'kernel')])
  assert [rule.linen[0][1] for rule in leaf_map] == ['Dense_0', 'LayerNorm_0']


def test_names_without_numbers_do_not_order_a_list():
  program = manifest(Loop((named('head_{}', 'Dense', 'head', '*'),)))
  with pytest.raises(WeightsError, match='the order of head_left, head_right in the list'):
    compose(program, 'm:Root', [('params', 'head_left', 'kernel'), ('params', 'head_right', 'kernel')])


def test_a_longer_template_wins():
  program = manifest(Loop((named('b_{}', 'Dense', 'b', '{}'), named('b_{}_n', 'LayerNorm', 'n', '{}'))))
  leaf_map = compose(program, 'm:Root', [('params', 'b_0', 'kernel'), ('params', 'b_0_n', 'scale')])
  assert [(rule.nnx, rule.linen[0][1]) for rule in leaf_map] == [
    (('b', '0', 'kernel'), 'b_0'), (('n', '0', 'scale'), 'b_0_n')]


def test_nested_lists_and_inline_sequentials():
  layers = [auto('Dense', 'block', '*', 'layers', position) for position in '02']
  program = manifest(Loop((auto('Sequential', 'block', '*', transparent=True), *layers)))
  leaf_map = compose(program, 'm:Root', [('params', f'Dense_{k}', 'kernel') for k in range(4)])
  assert [rule.nnx for rule in leaf_map] == [
    ('block', k, 'layers', j, 'kernel') for k in range(2) for j in (0, 2)]
  assert [rule.linen[0][1] for rule in leaf_map] == [f'Dense_{k}' for k in range(4)]


def test_a_layer_without_variables_takes_its_number():
  program = manifest(Loop((auto('LayerNorm', 'norm', '*'),)))
  tree = [('params', f'LayerNorm_{k}', 'scale') for k in (0, 2)]
  rules = compose(program, 'm:Root', tree).rules
  assert [rule.nnx for rule in rules] == [('norm', 0, 'scale'), ('norm', 2, 'scale')]


def test_sharing_uses_the_first_attribute_in_order():
  program = manifest(named('z', 'Dense'), Shared(('b',), ('z',)), Shared(('a',), ('b',)))
  assert compose(program, 'm:Root', [('params', 'z', 'kernel')]).rules[0].nnx == ('a', 'kernel')
  assert compose_from_nnx(program, 'm:Root', {('a', 'kernel'): 'params'}).rules[0].linen == (
    ('params', 'z', 'kernel'),)


def test_a_class_that_contains_itself():
  program = manifest(Leaf('w', 'params', ('w',)), Branch(((auto('Root', 'inner', cls='m:Root'),), ())))
  tree = [('params', *['Root_0'] * depth, 'w') for depth in range(4)]
  assert max(compose(program, 'm:Root', tree).nnx_paths(), key=len) == ('inner', 'inner', 'inner', 'w')


def test_all_problems_are_listed():
  program = manifest(auto('Dense', 'a'), auto('Dense', 'b'), named('cell', 'OptimizedLSTMCell'))
  tree = [('params', 'Dense_0', 'kernel'), ('params', 'x', 'kernel'), ('params', 'cell', 'ii', 'kernel'),
          ('params', 'cell', 'if', 'kernel'), ('stats', 'y')]
  with pytest.raises(WeightsError) as raised:
    compose(program, 'm:Root', tree)
  text = '\n'.join(raised.value.problems)
  for part in ('Dense_1 is not in the tree; NNX b', 'params/x/kernel has no NNX', 'stats/y has no NNX',
               'cell/params/ig/kernel is missing', 'cell/params/io/kernel is missing'):
    assert part in text


def test_reverse_names_that_cannot_be_told():
  program = manifest(Loop((named('block_{}', 'Dense', 'block', '*'),)))
  with pytest.raises(WeightsError, match='Linen name block_{} of NNX block/.* cannot be told'):
    compose_from_nnx(program, 'm:Root', {('block', 0, 'kernel'): 'params'})


@given(st.integers(0, 12), st.integers(0, 12))
@settings(max_examples=30, deadline=None)
def test_optional_norms_in_a_loop(layers, normed):
  """Each pass may or may not add a norm: only the count of norms is known, and lists keep their order."""
  normed = min(layers, normed)
  program = manifest(Loop((auto('Dense', 'a', '*'), Branch(((auto('LayerNorm', 'n', '*'),), ())))))
  tree = [('params', f'Dense_{k}', 'kernel') for k in range(layers)]
  tree += [('params', f'LayerNorm_{k}', 'scale') for k in range(normed)]
  leaf_map = compose(program, 'm:Root', tree)
  assert all(int(rule.linen[0][1].split('_')[1]) == rule.nnx[1] for rule in leaf_map)


def test_layers_with_the_same_parameters_are_one_map():
  kinds = ('Conv', 'ConvTranspose', 'Dense')
  own = (Leaf('kernel', 'params', ('kernel',)), Leaf('bias', 'params', ('bias',)))
  bodies = [(named('conv', kind, 'conv'),) for kind in (*kinds, 'm:Own')]
  program = manifest(Branch(tuple(bodies)), Own=own)
  paths = [('params', 'conv', 'kernel'), ('params', 'conv', 'bias')]
  assert [rule.nnx for rule in compose(program, 'm:Root', paths)] == [('conv', 'bias'), ('conv', 'kernel')]


def test_classes_that_map_otherwise_are_several_maps():
  program = manifest(Branch(((named('a', 'm:One', 'a'),), (named('a', 'm:Two', 'a'),))),
                     One=(named('x', 'Dense', 'first'),), Two=(named('x', 'Dense', 'second'),))
  with pytest.raises(AmbiguousError, match='several maps fit'):
    compose(program, 'm:Root', [('params', 'a', 'x', 'kernel')])


def faced():
  """A native class around a class that stays Linen and uses two NNX classes, one of them twice."""
  program = manifest(named('stage', 'm:Kept', 'stage'), Block=(Loop((named('layer_{}', 'Dense', 'layer', '*'),)),),
                     Other=(named('first', 'Dense', 'linear'),))
  kept = ClassMap('m:Kept', 'm.py', 1, 'bridged', faces=('m:Block', 'm:Other'))
  return Manifest({**program.classes, 'm:Kept': kept})


FACED = {('params', 'stage', '0', 'layer_0', 'kernel'): ('stage', '0', 'layer', 0, 'kernel'),
         ('params', 'stage', '0', 'layer_1', 'kernel'): ('stage', '0', 'layer', 1, 'kernel'),
         ('params', 'stage', '1', 'layer_0', 'kernel'): ('stage', '1', 'layer', 0, 'kernel'),
         ('params', 'stage', 'other', 'first', 'kernel'): ('stage', 'other', 'linear', 'kernel'),
         ('params', 'stage', 'plain', 'inner', 'kernel'): ('stage', 'plain', 'inner', 'kernel'),
         ('params', 'stage', 'nested', 'deep', 'layer_0', 'kernel'): ('stage', 'nested', 'deep', 'layer', 0, 'kernel')}


def test_nnx_classes_inside_a_class_that_stays_linen():
  found = compose(faced(), 'm:Root', FACED, FACED.values())
  assert {rule.linen[0]: rule.nnx for rule in found} == FACED


def test_nnx_classes_inside_a_class_that_stays_linen_need_both_trees():
  with pytest.raises(WeightsError, match='m:Kept stays Linen and uses classes that are NNX now .*--model'):
    compose(faced(), 'm:Root', FACED)


def test_leaves_that_no_face_explains_are_named():
  wrong = {**FACED, ('params', 'stage', '2', 'x', 'kernel'): ('stage', '2', 'y', 'kernel')}
  with pytest.raises(WeightsError, match='stage/2/x'):
    compose(faced(), 'm:Root', wrong, wrong.values())


def test_what_a_field_of_any_class_holds_is_read_off_the_model():
  field = Submodule(('inner',), None, ('inner',), None)
  inside = ClassMap('m:Inner', 'm.py', 1, 'native', (), members=(Submodule(None, 'Dense', ('linear',), 'flax.linen.Dense'),))
  program = Manifest({'m:Root': ClassMap('m:Root', 'm.py', 1, 'native', ('inner',), members=(field,)), 'm:Inner': inside})
  tree = [('params', 'inner', 'Dense_0', 'kernel')]
  paths = [('inner', 'linear', 'kernel')]
  with pytest.raises(WeightsError):
    compose(program, 'm:Root', tree, paths)
  leaf_map = compose(program, 'm:Root', tree, paths, classes={('inner',): 'm:Inner'})
  assert [(rule.linen, rule.nnx) for rule in leaf_map] == [(tuple(tree), paths[0])]
  table = compose(program, 'm:Root', [('params', 'inner', 'embedding')], [('inner', 'embedding')], classes={('inner',): 'flax.nnx.Embed'})
  assert [rule.nnx for rule in table] == [('inner', 'embedding')]
