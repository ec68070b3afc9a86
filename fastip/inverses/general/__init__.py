"""Certified inverses of operators without structure: a number, a diagonal, a low rank, a polynomial."""
