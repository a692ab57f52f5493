"""Names of NNX attributes for what Linen names automatically or by `name=`."""

from __future__ import annotations

import ast
import keyword
import re
from typing import Any

RESERVED = frozenset(
  {
    'train',
    'eval',
    'sow',
    'perturb',
    'iter_modules',
    'iter_children',
    'set_attributes',
    'rngs',
    'init',
    'apply',
  }
)


def snake(name: str) -> str:
  """Returns 'mlp_block' for 'MlpBlock', 'vi_t' never: runs of capitals stay together ('ViT' -> 'vit')."""
  text = re.sub(r'([A-Z]+)([A-Z][a-z])', r'\1_\2', name)
  text = re.sub(r'([a-z0-9])([A-Z][a-z])', r'\1_\2', text)
  return text.lower().strip('_') or 'module'


def from_template(node: ast.expr | None) -> str | None:
  """Returns the attribute stem of a computed name: f'block_{i}' -> 'block', f'layers_{i}_conv' -> 'layers_conv'."""
  if isinstance(node, ast.JoinedStr):
    text = ''.join(str(part.value) if isinstance(part, ast.Constant) else ' ' for part in node.values)
  elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mod)):
    parts = [
      str(item.value)
      for item in ast.walk(node)
      if isinstance(item, ast.Constant) and isinstance(item.value, str)
    ]
    text = re.sub(r'%\w', ' ', ' '.join(parts))
  elif (
    isinstance(node, ast.Call)
    and isinstance(node.func, ast.Attribute)
    and node.func.attr == 'format'
    and isinstance(node.func.value, ast.Constant)
  ):
    text = re.sub(r'\{[^}]*\}', ' ', str(node.func.value.value))
  else:
    return None
  stem = re.sub(r'\W+', '_', re.sub(r'_*\s+_*', '_', text)).strip('_')
  return stem or None


def template(node: ast.expr | None) -> str | None:
  """Returns the Linen name with {} for every computed part."""
  if isinstance(node, ast.JoinedStr):
    return ''.join(str(part.value) if isinstance(part, ast.Constant) else '{}' for part in node.values)
  if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and isinstance(node.left, ast.Constant):
    return re.sub(r'%\w', '{}', str(node.left.value))
  if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
    left, right = _part(node.left), _part(node.right)
    return left + right
  if (
    isinstance(node, ast.Call)
    and isinstance(node.func, ast.Attribute)
    and node.func.attr == 'format'
    and isinstance(node.func.value, ast.Constant)
  ):
    return re.sub(r'\{[^}]*\}', '{}', str(node.func.value.value))
  return None


def _part(node: ast.expr) -> str:
  if isinstance(node, ast.Constant) and isinstance(node.value, str):
    return node.value
  return template(node) or '{}'


def identifier(name: str) -> str:
  """Returns a legal attribute name for a Linen name: 'if' -> 'if_', '0' -> 'n0', 'a/b' -> 'a_b'."""
  text = re.sub(r'\W', '_', name)
  if not text or text[0].isdigit():
    text = f'n{text}'
  return f'{text}_' if keyword.iskeyword(text) else text


class Namer:
  """Hands out attribute names of one class without clashes."""

  def __init__(self, taken: set[str]) -> None:
    self.taken = set(taken) | RESERVED

  def claim(self, wanted: str) -> str:
    name, count = wanted, 1
    while name in self.taken:
      count += 1
      name = f'{wanted}_{count}' if wanted[-1:].isdigit() else f'{wanted}{count}'
    self.taken.add(name)
    return name


def automatic(stems: list[str], namer: Namer) -> list[str]:
  """Returns attribute names for automatic members: one `dropout`, several `linear1`, `linear2`."""
  names: list[str] = []
  counts: dict[str, int] = {}
  for stem in stems:
    if stems.count(stem) == 1:
      names.append(namer.claim(stem))
      continue
    while True:
      counts[stem] = counts.get(stem, 0) + 1
      name = f'{stem}{counts[stem]}' if not stem[-1].isdigit() else f'{stem}_{counts[stem]}'
      if name not in namer.taken:
        break
    names.append(namer.claim(name))
  return names


def linen_automatic(stems: list[str], listed: list[bool], namer: Namer) -> list[str]:
  """Returns Linen's own names for automatic members: `Dense_0`, `Dense_1`; a list filled in a loop is `Dense`."""
  counts: dict[str, int] = {}
  names = []
  for stem, many in zip(stems, listed):
    count = counts.get(stem, 0)
    names.append(namer.claim(stem if many else f'{stem}_{count}'))
    counts[stem] = count if many else count + 1
  return names


def explicit_name(creation: Any) -> str | None:
  """Returns the constant `name=` of a creation, or the name given to self.param and self.variable."""
  name = creation.arguments.get('name') if creation.kind in ('param', 'variable') else creation.name
  in_loop = any(
    isinstance(node, (ast.For, ast.While, ast.ListComp, ast.DictComp, ast.GeneratorExp))
    for node, _ in creation.path
  )
  if in_loop and creation.name_node is not None and not isinstance(creation.name_node, ast.Constant):
    return None  # `str(i)` is another name in every pass
  return name if isinstance(name, str) else None
