"""Puts the bodies of functions that make modules where the functions are called, before anything is planned.

A creation can only become a member of a class if it stands in a method of the class that runs once.  A helper
function, a local function or a method called several times is therefore written out at each call, as Linen
source that means the same; what follows sees an ordinary method.  A class that stays Linen all the same keeps
its own text.
"""

from .driver import Expansion, expand

__all__ = ['Expansion', 'expand']
