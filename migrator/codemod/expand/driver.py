"""Which files get which texts before they are migrated."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .binding import NotExpandable
from .draft import Draft
from .wanted import Functions, Key, wanted
from .writer import ClassExpander


@dataclasses.dataclass
class Expansion:
  """Texts to be read in the place of files.

  drafts: by path; classes: the classes whose calls were written out; failed: those where that is not possible.
  """

  drafts: dict[Path, Draft] = dataclasses.field(default_factory=dict)
  classes: set[str] = dataclasses.field(default_factory=set)
  failed: dict[str, str] = dataclasses.field(default_factory=dict)

  def texts(self) -> dict[Path, str]:
    return {path: draft.text for path, draft in self.drafts.items()}

  def line(self, path: Path, line: int) -> int:
    """Returns the line on disk for a line of the text that was read."""
    draft = self.drafts.get(path)
    return line if draft is None else draft.original(line)

  def sentence(self, path: Path, text: str) -> str:
    """Returns a sentence with the lines it names as they are on disk."""
    if path not in self.drafts:
      return text
    return re.sub(r'\bline (\d+)', lambda match: f'line {self.line(path, int(match.group(1)))}', text)


def expand(project: Any, analyses: Mapping[str, Any], skip: set[str], result: Expansion) -> bool:
  """Writes out the calls that keep classes from being native, into the drafts of `result`.

  project: read with the texts of `result`; skip: classes that keep their text.
  Returns: whether any text changed.
  """
  functions = Functions(project)
  used: set[Key] = set()
  changed = False
  for name in sorted(analyses):
    source = project.classes[name]
    if name in skip or name in result.failed or '#' in name or source.in_function or not source.module.selected:
      continue
    keys = wanted(source, analyses[name], functions)
    if keys and _one(project, source, keys, result):
      changed = True
      used |= keys
  for key in sorted(used):
    if key.kind == 'module':
      _without(project, key, result)
  return changed


def _one(project: Any, source: Any, keys: set[Key], result: Expansion) -> bool:
  path = source.module.path
  draft = result.drafts.get(path) or Draft(source.module.text)
  kept = draft.copy()
  try:
    ClassExpander(project, source.module, source.name.partition(':')[2], keys, draft).write()
  except NotExpandable as error:
    result.failed[source.name] = str(error)
    if path in result.drafts:
      result.drafts[path] = kept
    return False
  if draft.text == kept.text:
    return False
  result.drafts[path] = draft
  result.classes.add(source.name)
  return True


def _without(project: Any, key: Key, result: Expansion) -> None:
  """Removes a function that nothing mentions any more."""
  found = project.function(key.name)
  name = key.name.partition(':')[2]
  if found is None or not found[0].selected or found[0].skips.comment_in(found[1]) is not None:
    return
  texts = result.texts()
  word = re.compile(rb'\b' + name.encode() + rb'\b')
  mentions = sum(
    len(word.findall(texts[file.path].encode() if file.path in texts else file.data))
    for file in project.index.files.values()
    if _may_see(file, found[0])
  )
  draft = result.drafts.get(found[0].path) or Draft(found[0].text)
  node = next((item for item in draft.tree.body if isinstance(item, ast.FunctionDef) and item.name == name), None)
  if node is None or mentions != 1:
    return
  draft.remove(node)
  result.drafts[found[0].path] = draft


def _may_see(file: Any, module: Any) -> bool:
  """Tells whether a file can mean a function of a module by its name: it names the module or a package around it."""
  parts = module.name.split('.')
  return file.name == module.name or file.package.split('.')[0] == parts[0] or any(map(file.mentions, parts))
