"""What the parameters of a method are: flags, optional arguments, arrays, and the ranks that its text tells."""

from __future__ import annotations

import ast
import dataclasses
import functools
import re

FLAGS = (
  'train',
  'training',
  'is_training',
  'is_train',
  'deterministic',
  'decode',
  'eval',
  'evaluate',
  'inference',
  'test',
  'use_running_average',
  'enable_dropout',
  'use_dropout',
  'init_cache',
  'output_attentions',
  'output_hidden_states',
  'return_dict',
  'prefill',
  'mode',
  'update_batch_stats',
  'causal',
  'return_attention',
)
_INTEGERS = re.compile(
  r'(^|_)(ids?|idx|index|indices|tokens?|labels?|inputs_ids|actions?_id|positions?|segments?|timesteps?)($|_)'
)


@dataclasses.dataclass(frozen=True)
class Parameter:
  """One parameter of a method, after `self`.

  role: 'array', 'flag' (known only at the call, no array) or 'optional' (an array or None).
  """

  name: str
  role: str
  rank: int | None = None
  dtype: str = 'float32'
  optional: bool = False


@functools.cache
def parameters(node: ast.FunctionDef, skip_first: bool = True) -> list[Parameter]:
  """Returns the parameters of a method with their roles."""
  arguments = node.args
  positional = [*arguments.posonlyargs, *arguments.args][1 if skip_first else 0 :]
  defaults = dict(zip([argument.arg for argument in reversed(positional)], reversed(arguments.defaults)))
  for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults):
    if default is not None:
      defaults[argument.arg] = default
  result = []
  for argument in (*positional, *arguments.kwonlyargs):
    result.append(_parameter(node, argument, defaults.get(argument.arg)))
  if result and result[0].role == 'optional':
    # A first argument that may be None by its default is the input all the same.
    result[0] = dataclasses.replace(result[0], role='array', optional=False)
  return result


def _parameter(node: ast.FunctionDef, argument: ast.arg, default: ast.expr | None) -> Parameter:
  name = argument.arg
  annotation = ast.unparse(argument.annotation) if argument.annotation is not None else ''
  is_none = isinstance(default, ast.Constant) and default.value is None
  if _is_flag(node, name, annotation, default):
    return Parameter(name, 'flag', optional=is_none)
  if _is_key(node, name):
    return Parameter(name, 'array', 0, 'key')
  dtype = 'int32' if _INTEGERS.search(name) else 'float32'
  rank = _rank(node, name, annotation)
  if is_none:
    return Parameter(name, 'optional', rank, dtype, True)
  return Parameter(name, 'array', rank, dtype)


def _is_key(node: ast.FunctionDef, name: str) -> bool:
  """A parameter that is the first argument of a function of jax.random is a random key."""
  for child in ast.walk(node):
    if (
      isinstance(child, ast.Call)
      and child.args
      and isinstance(child.args[0], ast.Name)
      and child.args[0].id == name
    ):
      if re.fullmatch(r'(jax\.)?(random|jr)\.(?!PRNGKey|key)\w+', ast.unparse(child.func)):
        return True
  return False


def _is_flag(node: ast.FunctionDef, name: str, annotation: str, default: ast.expr | None) -> bool:
  if (
    re.search(r'\b(bool|int|str|float|Callable)\b', annotation)
    and 'Array' not in annotation
    and 'ndarray' not in annotation
  ):
    return True
  if isinstance(default, ast.Constant) and default.value is not None:
    return isinstance(default.value, (bool, int, float, str))
  if name in FLAGS:
    return True
  return default is None and not annotation and _used_as_flag(node, name)


def _used_as_flag(node: ast.FunctionDef, name: str) -> bool:
  for child in ast.walk(node):
    if (
      isinstance(child, ast.UnaryOp)
      and isinstance(child.op, ast.Not)
      and isinstance(child.operand, ast.Name)
      and child.operand.id == name
    ):
      return True
    if isinstance(child, (ast.If, ast.IfExp)) and isinstance(child.test, ast.Name) and child.test.id == name:
      return True
    if (
      isinstance(child, ast.keyword)
      and child.arg in FLAGS
      and isinstance(child.value, ast.Name)
      and child.value.id == name
    ):
      return True
  return False


def _rank(node: ast.FunctionDef, name: str, annotation: str) -> int | None:
  text = re.search(r"""Array, ['"]([^'"]*)['"]""", annotation)
  if text and '...' not in text.group(1) and '*' not in text.group(1):
    return len(text.group(1).split())
  told = _told(node, name)
  if told is not None:
    return told
  for child in ast.walk(node):
    if (
      isinstance(child, ast.Assign)
      and isinstance(child.targets[0], ast.Tuple)
      and ast.unparse(child.value) in (f'{name}.shape', f'jnp.shape({name})')
    ):
      if not any(isinstance(item, ast.Starred) for item in child.targets[0].elts):
        return len(child.targets[0].elts)
    if isinstance(child, ast.Compare) and len(child.ops) == 1 and isinstance(child.ops[0], ast.Eq):
      if ast.unparse(child.left) in (f'{name}.ndim', f'len({name}.shape)') and isinstance(
        child.comparators[0], ast.Constant
      ):
        value = child.comparators[0].value
        return value if isinstance(value, int) else None
  return None


def _told(node: ast.FunctionDef, name: str) -> int | None:
  """Returns the rank that the docstring gives: `x (tensor): Image of shape [N, H, W, C].`"""
  text = ast.get_docstring(node) or ''
  line = re.search(rf'^\s*{name}\b[^\n]*:[^\n]*shape *[\[(]([^\])]*)[\])]', text, re.MULTILINE)
  if line is None or not re.fullmatch(r"[\w' */+-]+(, *[\w' */+-]+)*,?", line.group(1)) or '**' in line.group(1):
    return None
  axes = [part for part in line.group(1).split(',') if part.strip()]
  return None if any(part.strip().startswith('*') for part in axes) else len(axes)
