"""Keeps a repository running that is partly NNX and partly Linen."""
