"""Comparing arrays: each way to differ has its verdict, and nothing that cannot fail passes."""
from __future__ import annotations

import json

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.equivalence.compare import compare_trees
from migrator.equivalence.leaf import compare_leaf, ulp_distance
from migrator.equivalence.verdicts import CaseResult, CheckReport, PartResult

X = np.linspace(-1, 2, 6, dtype=np.float32).reshape(2, 3)


def one(linen, nnx, tolerance=1e-5, **more):
  return compare_trees('eval', {('y',): np.asarray(linen)}, {('y',): np.asarray(nnx)}, tolerance, **more)


def test_same_bits():
  part = one(X, X.copy())
  assert (part.verdict, part.leaves, part.needed, part.worst) == ('bitwise', 1, 0.0, ())


def test_one_ulp_is_close_and_measured():
  part = one(X, np.nextafter(X, np.float32(9)))
  assert part.verdict == 'close' and part.max_ulp == 1 and 0 < part.needed < 1e-6
  assert one(X, np.nextafter(X, np.float32(9)), 0.0).verdict == 'differs'


def test_needed_tolerance_is_the_smallest_that_passes():
  part = one(X, X + np.float32(1e-3))
  assert part.verdict == 'differs'
  assert one(X, X + np.float32(1e-3), part.needed).verdict == 'close'
  assert one(X, X + np.float32(1e-3), np.nextafter(part.needed, 0)).verdict == 'differs'


@pytest.mark.parametrize('nnx, kind', [
  (X.T, 'shape'), (X.astype(np.float16), 'dtype'), (np.where(X == 2, np.nan, X), 'nan'),
  (np.where(X == 2, np.inf, X), 'nan'), (X + 1, 'value')])
def test_kinds(nnx, kind):
  part = one(X, nnx.astype(X.dtype) if kind in ('nan', 'value') else nnx, 0.5)
  assert part.verdict == ('close' if kind == 'value' and part.needed <= 0.5 else 'differs')
  assert part.worst[0].kind == kind


def test_missing_and_unexpected_leaves_are_named():
  part = compare_trees('eval', {('a', 'b'): X}, {('a', 'c'): X})
  assert {(leaf.path, leaf.kind) for leaf in part.worst} == {('a/b', 'missing'), ('a/c', 'unexpected')}
  assert part.verdict == 'differs' and part.needed is None


def test_whole_numbers_must_be_equal():
  part = one(np.array([1, 2, 3]), np.array([1, 2, 4]), 0.9)
  assert part.verdict == 'differs' and '[2]' in part.reason


def test_nan_at_the_same_places_is_equal_but_reported():
  broken = np.where(X == 2, np.nan, X).astype(np.float32)
  part = one(broken, broken.copy())
  assert part.verdict == 'bitwise' and '1 of 6 numbers are not finite' in part.notes[0]
  quiet = broken.copy()
  quiet.view(np.uint32)[1, 2] |= 1
  assert one(broken, quiet).verdict == 'close'


def test_infinity_of_the_other_sign_differs():
  assert one(np.float32([1, np.inf]), np.float32([1, -np.inf])).verdict == 'differs'


def test_zeros_of_both_signs_are_close_not_bitwise():
  part = one(np.float32([0, 1]), np.float32([-0.0, 1]), 0.0)
  assert (part.verdict, part.max_ulp, part.max_abs) == ('close', 0, 0.0)


@pytest.mark.parametrize('array', [np.zeros(3), np.ones((2, 2)), np.full(2, np.nan), np.zeros(0), 0.0])
def test_a_check_that_cannot_fail_is_no_pass(array):
  part = one(array, np.array(array))
  assert part.verdict == 'not compared' and 'constant' in part.reason


def test_a_vacuous_reference_still_shows_a_difference():
  assert one(np.zeros(3), np.ones(3)).verdict == 'differs'


def test_some_vacuous_arrays_are_a_note():
  part = compare_trees('eval', {('a',): X, ('b',): np.zeros(3)}, {('a',): X, ('b',): np.zeros(3)})
  assert part.verdict == 'bitwise'
  assert part.notes[0].startswith('1 of 2 arrays') and part.notes[0].endswith('b')


def test_nothing_on_either_side():
  assert compare_trees('eval', {}, {}).verdict == 'not compared'


def test_floor_forgives_rounding_noise_of_small_leaves_only():
  linen = {('big',): X, ('noise',): np.float32([1e-9, 3e-9])}
  nnx = {('big',): X, ('noise',): np.float32([-4e-9, 1e-9])}
  assert compare_trees('gradient', linen, nnx).verdict == 'differs'
  assert compare_trees('gradient', linen, nnx, floor=0.1).verdict == 'close'
  nnx['noise',] = np.float32([1e-2, 0])
  assert compare_trees('gradient', linen, nnx, floor=0.1).verdict == 'differs'


@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_ulp_counts_steps_also_through_zero(dtype):
  one_step = np.nextafter(np.array([1], dtype), np.array([2], dtype))
  assert ulp_distance(np.array([1], dtype), one_step)[0] == 1
  tiny = np.nextafter(np.array([0], dtype), np.array([1], dtype))
  assert ulp_distance(tiny, -tiny)[0] == 2


def test_bfloat16_is_compared_as_numbers():
  x = X.astype(ml_dtypes.bfloat16)
  leaf = compare_leaf('y', x, (X * 1.01).astype(ml_dtypes.bfloat16))
  assert leaf.kind == 'value' and leaf.relative < 0.02 and leaf.max_ulp >= 1


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.floats(width=32), st.floats(width=32)), min_size=1, max_size=6))
def test_laws(pairs):
  a, b = (np.array(side, np.float32) for side in zip(*pairs, strict=True))
  assert compare_leaf('y', a, a.copy()).kind == 'equal'
  forth, back = compare_leaf('y', a, b), compare_leaf('y', b, a)
  assert forth.kind == back.kind
  assert (forth.kind == 'equal') == (a.tobytes() == b.tobytes())
  if forth.kind == 'value':
    assert (forth.max_abs, forth.max_ulp) == (back.max_abs, back.max_ulp)


def case(*parts: tuple[str, str], failure: str = '') -> CaseResult:
  return CaseResult('a', 'z:A', tuple(PartResult(name, verdict) for name, verdict in parts), failure)


@pytest.mark.parametrize('result, code', [
  (case(('variables', 'bitwise'), ('eval', 'close')), 0),
  (case(('variables', 'bitwise'), ('eval', 'bitwise'), ('train', 'not compared')), 0),
  (case(('variables', 'differs')), 1),
  (case(('eval', 'bitwise'), ('train', 'differs')), 1),
  (case(('eval', 'differs'), ('train', 'error')), 2),
  (case(('variables', 'bitwise'), ('eval', 'not compared')), 2),
  (case(failure='no class'), 2),
  (case(), 2),
])
def test_exit_codes(result, code):
  assert result.exit_code == code
  assert CheckReport((result,)).exit_code == code
  assert CheckReport((result, case(failure='x'))).exit_code == 2


def test_report_of_nothing_is_a_failure():
  assert CheckReport().exit_code == 2 and CheckReport(failure='no roots').exit_code == 2


def test_json_has_stable_keys_and_no_infinity():
  part = compare_trees('eval', {('a',): X}, {('b',): X})
  document = json.loads(CheckReport((CaseResult('a', 'z:A', (part,)),)).to_json())
  assert list(document) == ['format', 'version', 'exit_code', 'failure', 'versions', 'cases']
  assert list(document['cases'][0]) == ['name', 'model', 'exit_code', 'failure', 'notes', 'modules', 'proofs', 'parts']
  assert list(document['cases'][0]['parts'][0]) == [
    'name', 'verdict', 'reason', 'leaves', 'max_abs', 'max_ulp', 'needed', 'worst', 'notes']
  assert document['cases'][0]['parts'][0]['max_abs'] is None
