"""The import writer: in place, merged, or in the file's own order; comments stay, a second run is silent."""
from __future__ import annotations

import ast
import io
import tokenize
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.codemod.imports import ImportRequest, rewrite_imports, unused

NNX = ImportRequest('flax', 'nnx')
CALLABLE = ImportRequest('collections.abc', 'Callable')
JNP = ImportRequest('jax.numpy', None, 'jnp')

REPLACED = [
  ('from flax import linen as nn\nimport jax\n', 'from flax import nnx\nimport jax\n'),
  ('import flax.linen as nn\nimport jax\n', 'from flax import nnx\nimport jax\n'),
  ('from flax import linen as nn, struct\n', 'from flax import nnx, struct\n'),
  ('import flax.linen as nn  # why\n', 'from flax import nnx  # why\n'),
  ('from flax import (\n  linen as nn,  # lin\n  struct  # st\n)\n',
   'from flax import (\n  nnx,  # lin\n  struct  # st\n)\n'),
  ('import jax, flax.linen as nn\n', 'import jax\nfrom flax import nnx\n'),
  ('import flax.linen as nn; import jax\n', 'from flax import nnx; import jax\n'),
  ('import jax; import flax.linen as nn\n', 'import jax; from flax import nnx\n'),
  ('try:\n  import flax.linen as nn\nexcept ImportError:\n  x = 1\n',
   'try:\n  from flax import nnx\nexcept ImportError:\n  x = 1\n'),
  ('from flax import struct\n# about\nimport flax.linen as nn  # why\nx = 1\n',
   'from flax import nnx, struct\n# about\n# why\nx = 1\n'),
  ('from flax import (\n    struct,\n    traverse_util,\n)\nimport flax.linen as nn\n',
   'from flax import (\n    nnx,\n    struct,\n    traverse_util,\n)\n'),
  ('def f():\n  import flax.linen as nn\n', 'from flax import nnx\n\ndef f():\n  pass\n'),
  ('if x: import flax.linen as nn\n', 'from flax import nnx\n\nif x: pass\n'),
  ('from flax import linen as nn\r\nx = 1\r\n', 'from flax import nnx\r\nx = 1\r\n'),
  ('\ufefffrom flax import linen as nn', '\ufefffrom flax import nnx'),
]


@pytest.mark.parametrize(('before', 'after'), REPLACED)
def test_linen_gives_its_place_to_nnx(before, after):
  assert rewrite_imports(before, remove={'nn'}, add=[NNX]) == after
  assert rewrite_imports(after, remove={'nn'}, add=[NNX]) == after


ADDED = [
  ('"""Doc."""\nx = 1\n', [NNX], '"""Doc."""\n\nfrom flax import nnx\n\nx = 1\n'),
  ('"""Doc."""\nfrom __future__ import annotations\nx = 1\n', [NNX],
   '"""Doc."""\nfrom __future__ import annotations\n\nfrom flax import nnx\n\nx = 1\n'),
  ('# licence\n\nx = 1\n', [NNX], '# licence\n\nfrom flax import nnx\n\nx = 1\n'),
  ('import jax\n', [CALLABLE], 'from collections.abc import Callable\n\nimport jax\n'),
  ('"""Doc."""\n\nimport jax\n', [CALLABLE],
   '"""Doc."""\n\nfrom collections.abc import Callable\n\nimport jax\n'),
  ('import os\n\nimport jax\n', [CALLABLE],
   'import os\nfrom collections.abc import Callable\n\nimport jax\n'),
  ('import jax\nimport numpy as np\n', [JNP], 'import jax\nimport jax.numpy as jnp\nimport numpy as np\n'),
  ('import jax\nfrom flax import nnx\nimport optax\n', [JNP, NNX],
   'import jax\nimport jax.numpy as jnp\nfrom flax import nnx\nimport optax\n'),
  ('import jax\nfrom . import layers\n', [ImportRequest('.helpers', 'GRUCell')],
   'import jax\nfrom . import layers\nfrom .helpers import GRUCell\n'),
  ('from collections.abc import Sequence\n', [CALLABLE], 'from collections.abc import Callable, Sequence\n'),
  ('from b import z, a\n', [ImportRequest('b', 'c')], 'from b import z, a, c\n'),
  ('from flax import *\n', [NNX], 'from flax import *\nfrom flax import nnx\n'),
  ('import jax.numpy\n', [ImportRequest('jax')], 'import jax\nimport jax.numpy\n'),
  ('from flax import nnx\n', [NNX, NNX], 'from flax import nnx\n'),
  ('import flax.nnx as nnx\n', [NNX], 'import flax.nnx as nnx\n'),
  ('from flax import nnx\n', [ImportRequest('flax', 'nnx', 'n')], 'from flax import nnx, nnx as n\n'),
]


@pytest.mark.parametrize(('before', 'requests', 'after'), ADDED)
def test_added_imports_keep_the_order_of_the_file(before, requests, after):
  assert rewrite_imports(before, remove=set(), add=requests) == after
  assert rewrite_imports(after, remove=set(), add=requests) == after


REMOVED = [
  ('import os\nimport flax.linen as nn\n\n\ndef f(): pass\n', 'import os\n\n\ndef f(): pass\n'),
  ('import flax.linen as nn\n\n\ndef f(): pass\n', 'def f(): pass\n'),
  ('# licence\n\nimport flax.linen as nn\n\n\ndef f(): pass\n', '# licence\n\n\ndef f(): pass\n'),
  ('import os\n\nimport flax.linen as nn\n\nfrom .a import b\n', 'import os\n\nfrom .a import b\n'),
  ('from flax import struct, linen as nn\n', 'from flax import struct\n'),
  ('from flax import (\n  struct,  # st\n  linen as nn,  # lin\n)\n',
   '# st\nfrom flax import (\n  struct,  # lin\n)\n'),
  ('def f():\n  # about\n  import flax.linen as nn\n  return 1\n', 'def f():\n  # about\n  return 1\n'),
  ('import flax.linen as nn\n', '\n'),
]


@pytest.mark.parametrize(('before', 'after'), REMOVED)
def test_removed_imports_leave_no_gap(before, after):
  assert rewrite_imports(before, remove={'nn'}, add=[]) == after


def test_a_plain_import_goes_by_the_package_it_binds():
  assert rewrite_imports('import flax.linen\nimport flax\nx = 1\n', remove={'flax'}, add=[]) == 'x = 1\n'


def test_star_imports_go_by_their_module():
  before = 'from flax.linen import *\nfrom jax import *\n'
  after = rewrite_imports(before, remove={'flax.linen.*'}, add=[NNX])
  assert after == 'from flax import nnx\nfrom jax import *\n'


@pytest.mark.parametrize('text', ['', '\n\n', '# only a comment\n'])
def test_a_file_without_statements_stays_empty(text):
  assert rewrite_imports(text, remove={'nn'}, add=[NNX]) == text


def test_a_name_bound_to_something_else_is_refused():
  with pytest.raises(ValueError, match='`nnx` is already imported from mine.nnx'):
    rewrite_imports('from mine import nnx\n', remove=set(), add=[NNX])
  assert rewrite_imports('from mine import nnx\n', remove={'nnx'}, add=[NNX]) == 'from flax import nnx\n'


def test_a_removed_and_requested_name_is_stable():
  request = ImportRequest('flax', 'nnx', 'nn')
  once = rewrite_imports('from flax import linen as nn\n', remove={'nn'}, add=[request])
  assert once == 'from flax import nnx as nn\n'
  assert rewrite_imports(once, remove={'nn'}, add=[request]) == once


LINES = [
  'import os  # os', 'import flax.linen as nn  # a', 'from flax import linen as nn',
  'from flax import struct, linen as nn',
  'from flax import (\n  linen as nn,  # b\n  struct,\n  # c\n)', '# alone', '',
  'import jax', 'from . import layers',
  'try:\n  # d\n  import flax.linen as nn\nexcept ImportError:\n  pass', 'x = 1',
  'def f():\n  import flax.linen as nn  # e',
  'import jax, flax.linen as nn', 'from __future__ import annotations',
]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(LINES), min_size=1, max_size=8),
       st.sets(st.sampled_from([NNX, CALLABLE, JNP])))
def test_any_mix_is_stable_and_keeps_its_comments(lines, add):
  before = '\n'.join(sorted(lines, key=lambda line: '__future__' not in line)) + '\n'
  after = rewrite_imports(before, remove={'nn'}, add=list(add))
  assert rewrite_imports(after, remove={'nn'}, add=list(add)) == after
  assert comments(after) == comments(before)
  bound = [alias.asname or alias.name for node in ast.walk(ast.parse(after))
           if isinstance(node, (ast.Import, ast.ImportFrom)) for alias in node.names]
  assert 'nn' not in bound
  if ast.parse(before).body:
    assert all(bound.count(request.local) == 1 for request in add)
  compile(after, 'after', 'exec')


def comments(text):
  """The comments of a text with how often each stands there."""
  tokens = tokenize.generate_tokens(io.StringIO(text).readline)
  return Counter(token.string for token in tokens if token.type == tokenize.COMMENT)


def test_unused():
  source = (
    'import flax.linen as nn\nfrom flax import struct, core as core\nimport jax, optax\n'
    'from typing import Any\n'
    'from a import exported, local, deleted\n__all__ = ["exported"]\n'
    'def f(nn): return nn.x\n'
    'def g(x: "jax.Array") -> "list[Any]": return [optax for optax in x]\n'
    'def h():\n  import late\n  late.x\n  import never\n  local = 1\n  return local\n'
    'del deleted\n')
  names = {
    'nn', 'struct', 'core', 'jax', 'optax', 'Any', 'exported', 'local', 'late', 'never', 'deleted', 'f', 'z'}
  assert unused(source, names) == {'nn', 'struct', 'optax', 'local', 'never'}


def test_a_computed_export_list_may_hold_any_name():
  assert unused('import a\n__all__ = make()\n', {'a'}) == set()
