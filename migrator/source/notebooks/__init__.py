"""Jupyter notebooks: their code cells as one Python text, and a changed text put back cell by cell."""
from __future__ import annotations

from migrator.source.notebooks.notebook import Notebook, NotebookError, is_notebook

__all__ = ['Notebook', 'NotebookError', 'is_notebook']
