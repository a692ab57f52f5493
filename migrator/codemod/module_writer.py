"""Puts the new classes into their files: other Linen names, collections, imports."""

from __future__ import annotations

import ast
from typing import Any

from migrator.report.findings import Finding
from migrator.shapes.expressions import dotted_text
from migrator.source.notebooks import is_notebook
from rewrites.bridge import AS_LINEN
from rewrites.registry import layer_for
from rewrites.with_flags import WITH_FLAGS

from .bridge.call_sites import Everything, given_to, module_table
from .bridge.face import face_flags, helper_place, rewrite_call_sites
from .bridge.references import Reference
from .import_jobs import ImportJob
from .imports import ImportRequest
from .kept import frozen_at
from .linen_names import LinenNames
from .plan import ClassPlan
from .quoted import annotations_of, rename_quoted
from .text import Edits, text_of

HELPER_MODULE = 'nnx_helpers'


class ModuleWriter:
  """New text of one file.

  plans: plans of the classes of the file; helper_module: dotted name of the helper file.
  references: mentions of native classes in all files.
  faces: helper files whose `as_linen` this file needs, and how it imports them; flagged: whose `with_flags` too.
  """

  def __init__(
    self, project: Any, module: Any, plans: list[ClassPlan], helper_module: str, references: Everything
  ) -> None:
    self.project = project
    self.module = module
    self.plans = plans
    self.helper_module = helper_module
    self.references = references
    self.faces: dict[str, str] = {}
    self.flagged: set[str] = set()
    self.source = text_of(module)
    self.names = LinenNames(project, module)
    self.findings: list[Finding] = []
    self.helpers: dict[str, Any] = {}

  def job(self) -> ImportJob | None:
    """Returns the new text with what its imports need; None if nothing of the file changes."""
    native = [plan for plan in self.plans if plan.native]
    edits = Edits(self.source)
    for plan in native:
      node = plan.source.node
      edits.replace_range(self.source.start(node), self.source.line_end(self.source.end(node) - 1), plan.text)
      self.helpers.update(plan.helpers)
    self._call_sites(edits)
    self._other_names(edits, native)
    self._collections(edits, native)
    if not edits.items:
      return None
    text = edits.apply(0, len(self.source.data))
    if not self.source.data.endswith(b'\n'):
      text = text.removesuffix('\n')
    return self._imports(text, native)

  def _other_names(self, edits: Edits, native: list[ClassPlan]) -> None:
    """Functions and types of Linen outside classes that stay Linen."""
    nodes = self.module.nodes
    skip = {child for plan in self.plans for child in nodes.walk(plan.source.node)}
    stays = {child for plan in self.plans if not plan.native for child in nodes.walk(plan.source.node)}
    for node in nodes.order:
      if self.module.skips and isinstance(node, ast.stmt) and frozen_at(self.module, node) is not None:
        skip.update(nodes.walk(node))
        stays.update(nodes.walk(node))
      if native and node not in stays:
        self._whole_linen(node)
      if node in skip:
        continue
      if native:
        for annotation in annotations_of(node):
          rename_quoted(annotation, self.names, edits)
      if not isinstance(node, (ast.Name, ast.Attribute)):
        continue
      name = self.names.qualified(node)
      if name is None:
        continue
      skip.update(nodes.walk(node))
      if not native:
        continue
      if name == 'flax.linen.Module' and (self.faces or any(plan.native is False for plan in self.plans)):
        continue
      if layer_for(name) is not None and not self._for_native(node):
        text = (
          f'{ast.unparse(node)} outside of a class stays Linen; write it in NNX with the code that uses it'
        )
        self.findings.append(Finding(self.module.relative, node.lineno, 'stays-linen', text))
        continue
      new = self.names.rename(node)
      if new is not None:
        edits.replace(node, new)
    self.helpers.update(self.names.helpers)

  def _whole_linen(self, node: ast.AST) -> None:
    """Linen itself as a value, as in `getattr(nn, name)`: what is taken from it is known only when the code runs."""
    if not isinstance(node, (ast.Name, ast.Attribute)) or isinstance(self.module.nodes.parent(node), ast.Attribute):
      return
    text = dotted_text(node)
    if isinstance(node.ctx, ast.Load) and text and self.project.resolve(self.module, text) == 'flax.linen':
      message = f'{text} is used as a value here and stays Linen; name what is taken from it, or take it from nnx'
      self.findings.append(Finding(self.module.relative, node.lineno, 'stays-linen', message))

  def _for_native(self, node: ast.expr) -> bool:
    """Tells whether a Linen layer outside of classes is given to an NNX class or read by one."""
    own = self.references[self.module.name]
    around = own.around(node)
    reference = Reference(node, self.plans[0], around)
    names = [f'{self.module.name}:{name}' for name in module_table(reference)]
    return given_to(own, reference) is not None or any(
      other.reads(name, True) for name in names for other in self.references.values()
    )

  def _call_sites(self, edits: Edits) -> None:
    """Classes that are NNX now, where other code uses them as Linen."""
    for finding, plan in rewrite_call_sites(self.references[self.module.name], self.references, edits):
      self.findings.append(finding)
      home = helper_home(plan.source.module.name)
      if face_flags(plan):
        self.flagged.add(home)
      if home not in self.faces:
        self.faces[home] = helper_place(home, self.module, self.project)

  def _collections(self, edits: Edits, native: list[ClassPlan]) -> None:
    wanted = {name: collection for plan in native for name, collection in plan.collections.items()}
    defined = set(self.module.class_names.values()) if hasattr(self.module, 'class_names') else set()
    first = min(
      (self.source.leading_comments(plan.source.node, 0) for plan in native if not plan.source.in_function),
      default=0,
    )
    text = ''.join(
      f'class {name}(nnx.Variable):\n  """Variables of the collection \'{collection}\'."""\n\n\n'
      for name, collection in sorted(wanted.items())
      if name not in defined
    )
    if text:
      edits.replace_range(first, first, text)

  def _imports(self, text: str, native: list[ClassPlan]) -> ImportJob:
    requests = {ImportRequest('flax', 'nnx')} if native or 'nnx.' in text else set()
    for plan in native:
      requests |= {_request(item) for item in plan.imports}
    requests |= {_request(item) for item in self.names.imports}
    if self.helpers:
      notebook = is_notebook(self.module.path)
      place = helper_place(self.helper_module, self.module, self.project) if notebook else self.helper_module
      requests |= {ImportRequest(place, name) for name in self.helpers}
    requests |= {ImportRequest(place, AS_LINEN.name) for place in list(self.faces.values())[:1]}
    if self.flagged:
      requests |= {ImportRequest(place, WITH_FLAGS.name) for place in list(self.faces.values())[:1]}
    aliases = frozenset(linen_aliases(self.project, self.module))
    dropped = frozenset(name for plan in native for name in plan.dropped)
    # A helper may have the name of the Linen function it stands for; then the text uses the helper.
    replaced = aliases & frozenset(self.helpers)
    ordered = tuple(sorted(requests, key=lambda item: item.text))
    return ImportJob(self.module.name, text, aliases | dropped, replaced, ordered)


def helper_home(module: str) -> str:
  """Returns the dotted name of the helper file: one per top-level package."""
  package, _, rest = module.partition('.')
  return f'{package}.{HELPER_MODULE}' if rest else HELPER_MODULE


def _request(item: tuple[str, str | None]) -> ImportRequest:
  module, name = item
  if module == 'flax' and name == 'nnx':
    return ImportRequest('flax', 'nnx')
  return ImportRequest(module, None, name)


def linen_aliases(project: Any, module: Any) -> set[str]:
  """Returns the local names that are bound to Linen or to things in it."""
  names = set()
  for node in module.nodes.order:
    if isinstance(node, (ast.Import, ast.ImportFrom)) and frozen_at(module, node) is None:
      for alias in node.names:
        local = (alias.asname or alias.name).split('.')[0]
        found = project.resolve(module, local)
        if found is not None and (
          found.startswith('flax.linen') or (found == 'flax' and 'linen' in alias.name)
        ):
          names.add(local)
  return names
