"""One file per command; a command's module is imported only when that command runs or shows its help."""
