"""A local page to try fastip: ``fastip serve``. It needs the extra ``web``; what works in the background does not."""
