"""The formats that need more than a call of a library: each with ``read`` and ``write``."""
