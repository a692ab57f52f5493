"""Reading a repository with the standard library's `ast`: files, names across files, classes.

Nothing here runs the user's code, and nothing imports flax, jax or libcst.
"""
from __future__ import annotations

from migrator.source.bindings import Binding
from migrator.source.classes import Field, Method, SourceClass
from migrator.source.modules import SourceModule
from migrator.source.names import dotted
from migrator.source.project import Project, read_project
from migrator.source.uses import Use

__all__ = [
  'Binding', 'Field', 'Method', 'Project', 'SourceClass', 'SourceModule', 'Use', 'dotted', 'read_project',
]
