"""Real pairs in two processes: an equal one passes bit by bit, an injected bug is seen where it is."""
from __future__ import annotations

import pytest
from check_pairs import CASE, LINEN, NNX, manifest, net_entry, write

from migrator.equivalence import Case, Checker
from migrator.equivalence.proof import Verdict

PARAMS, INPUTS = 'train gradient of params', 'train gradient of inputs'

# name: (text in NNX, what it became, the parts that must differ, parts that must stay equal)
BUGS = {
  'lost_relu': ('    x = nnx.relu(x)\n', '', {'eval', 'train'}, set()),
  'epsilon': ('LayerNorm(features,', 'LayerNorm(features, epsilon=1e-4,', {'eval', 'train'}, {'train state'}),
  'lost_pool': ('nnx.max_pool(x, (2, 2), strides=(2, 2))', 'x', {'eval', 'train'}, {'train state'}),
  'momentum': ('momentum=0.9', 'momentum=0.99', {'train state'}, {'eval', 'train', PARAMS}),
  'dropout_rate': ('dropout2 = nnx.Dropout(0.25', 'dropout2 = nnx.Dropout(0.2', {'train'}, {'eval'}),
  'lost_dropout': ('    x = self.dropout1(x, deterministic=not train)\n', '', {'train'}, {'eval'}),
  'always_training': ('use_running_average=not train', 'use_running_average=False',
                      {'eval', 'eval state'}, {'train'}),
  'lost_bias': ('out = nnx.Linear(features, features, ',
                'out = nnx.Linear(features, features, use_bias=False, ',
                {'variables'}, set()),
  'stopped_gradient': ('    x = self.layer_norm(x)\n', '    x = jax.lax.stop_gradient(self.layer_norm(x))\n',
                       {PARAMS, INPUTS}, {'eval', 'train', 'train state'}),
  'other_dtype': ('return self.out(x)', 'return self.out(x).astype("bfloat16")', {'eval', 'train'}, set()),
  'other_structure': ('return self.out(x)', 'return {"logits": self.out(x)}', {'eval', 'train'}, set()),
  'other_shape': ('return self.out(x)', 'return self.out(x)[None]', {'eval', 'train'}, set()),
}
# What the proof says: a differing module, the line of it in NNX, words of the cause.
NAMED = {
  'lost_relu': ('LayerNorm_0', 21, 'a maximum (relu) in Linen'),
  'epsilon': ('LayerNorm_0', 23, 'added constant (such as an epsilon)'),
  'lost_pool': ('LayerNorm_0', 22, 'shape (4, 4, 4, 6) in Linen, (4, 8, 8, 6) in NNX'),
  'momentum': ('BatchNorm_0', 20, 'factor: 0.9'),
  'dropout_rate': ('Dropout_1', 26, '0.75 in Linen, 0.8 in NNX'),
  'lost_dropout': ('Dropout_0', None, 'is called in Linen, not in NNX'),
  'always_training': ('BatchNorm_0', 20, 'variable batch_stats/BatchNorm_0/mean in Linen'),
  'stopped_gradient': ('LayerNorm_0', None, 'no gradient comes back to its output in NNX'),
  'other_dtype': ('', 27, 'float32 in Linen, bfloat16 in NNX'),
  'other_structure': ('', None, 'only Linen has it'),
  'other_shape': ('', 27, 'shape (4, 6) in Linen, (1, 4, 6) in NNX'),
}
MODULES = ('equal', 'swapped', 'three', *BUGS)
THREE = ('epsilon', 'momentum', 'dropout_rate')


@pytest.fixture(scope='module')
def checker(tmp_path_factory):
  linen, nnx = tmp_path_factory.mktemp('linen'), tmp_path_factory.mktemp('nnx')
  for name in MODULES:
    old, new = BUGS[name][:2] if name in BUGS else ('', '')
    assert old in NNX
    write(linen, {f'zoo/{name}.py': LINEN})
    write(nnx, {f'zoo/{name}.py': NNX.replace(old, new) if old else NNX})
  three = NNX
  for name in THREE:
    three = three.replace(*BUGS[name][:2])
  write(nnx, {'zoo/three.py': three})
  entries = [net_entry(f'zoo.{name}') for name in MODULES if name != 'swapped']
  with Checker(manifest(*entries, net_entry('zoo.swapped', 'out', 'hidden')), linen, nnx) as checker:
    yield checker


def check(checker: Checker, name: str, **changes):
  return checker.check(Case(name, f'zoo.{name}:Net', **{**CASE, **changes}))


def verdicts(result) -> dict[str, str]:
  assert not result.failure, result.failure
  return {part.name: part.verdict for part in result.parts}


def test_equal_pair_is_bitwise_in_every_part(checker):
  result = check(checker, 'equal')
  assert verdicts(result) == dict.fromkeys(
    ['variables', 'eval', 'eval state', 'eval, one not-a-number', 'eval, large inputs', 'eval, shorter inputs', 'train',
     'train state', 'train gradient of params', 'train gradient of inputs'], 'bitwise')
  assert result.exit_code == 0
  assert 'random keys: 2 of Linen replayed' in next(part.notes for part in result.parts if part.name == 'train')
  assert {proof.mode: proof.verdict.level for proof in result.proofs} == dict.fromkeys(
    ['weights', 'eval', 'eval state', 'train', 'train state', 'gradient', 'step',
     'batch of one', 'init', 'keys'], 'L0')
  assert result.proofs[1].shapes == 'for every batch size of 2 and more' and not result.proofs[1].modules
  assert len(result.proofs[1].linen_hash) == 64


@pytest.mark.parametrize('name', BUGS)
def test_bug_is_seen(checker, name):
  _, _, differing, equal = BUGS[name]
  result = check(checker, name)
  found = verdicts(result)
  assert {part for part in differing if found[part] != 'differs'} == set(), result
  assert {part for part in equal if found[part] != 'bitwise'} == set(), result
  assert result.exit_code == 1
  proved = {proof.mode: proof for proof in result.proofs}
  if name == 'lost_bias':
    assert proved['weights'].verdict is Verdict.DIFFERS and 'params/out/bias' in proved['weights'].reason
    return
  path, line, words = NAMED[name]
  modules = [module for proof in result.proofs for module in proof.modules]
  module = next(module for module in modules if module.linen == path and words in module.cause)
  assert module.verdict is Verdict.DIFFERS
  assert line is None or module.nnx_line == f'zoo/{name}.py:{line}'
  assert {module.linen for module in proved['eval'].modules} <= {path}


def test_proof_and_numbers_agree(checker):
  """Whatever is proved to be the same program has the same bits."""
  for name in ('epsilon', 'momentum', 'dropout_rate'):
    result = check(checker, name)
    numbers = verdicts(result)
    exact = {proof.mode for proof in result.proofs if proof.verdict.is_exact}
    assert exact & numbers.keys() and {numbers[mode] for mode in exact & numbers.keys()} == {'bitwise'}


def test_all_mistakes_are_named_at_once(checker):
  result = check(checker, 'three')
  modules = [module for proof in result.proofs for module in proof.modules]
  named = {(module.linen, module.nnx_line) for module in modules}
  assert {(NAMED[name][0], f'zoo/three.py:{NAMED[name][1]}') for name in THREE} <= named
  assert {path for path, _ in named} == {NAMED[name][0] for name in THREE}
  assert all(module.linen_line.startswith('zoo/three.py:') for module in modules)


def test_swapped_weights_are_seen(checker):
  assert verdicts(check(checker, 'swapped'))['eval'] == 'differs'


def test_reason_names_leaf_and_size(checker):
  part = next(part for part in check(checker, 'momentum').parts if part.name == 'train state')
  assert part.reason.startswith('batch_stats/BatchNorm_0/')
  assert part.needed and part.needed > 1e-3 and part.worst[0].kind == 'value'


def test_lost_bias_is_named(checker):
  part = check(checker, 'lost_bias').parts[0]
  assert 'params/out/bias' in part.reason


def test_tolerance_decides_between_close_and_differs(checker):
  part = next(part for part in check(checker, 'epsilon').parts if part.name == 'eval')
  loose = next(part for part in check(checker, 'epsilon', tolerance=part.needed).parts if part.name == 'eval')
  assert (part.verdict, loose.verdict) == ('differs', 'close')


def test_workers_are_reused(checker):
  check(checker, 'equal')
  before = dict(checker._workers)
  check(checker, 'lost_relu')
  assert checker._workers == before
