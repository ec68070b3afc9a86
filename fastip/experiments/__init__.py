"""Experiments: each measures one thing, draws it and writes a page; ``fastip experiment NAME`` runs one.

To add one, put a module here that holds an :class:`~fastip.experiments.record.Experiment` called ``EXPERIMENT``::

    EXPERIMENT = Experiment(summary="what is measured, in one line", run=run, page=page)

It is found by existing, and its name is that of the module. ``run(report, *, ...)`` does the work: its keywords have
defaults of the full size (tests pass small ones, the command line takes ``--set size=64``), it calls
``report(what, done, total)`` now and then, and it returns an Outcome: the numbers (what JSON can hold, tensors are
turned into lists) and a figure (start it with drawing.sheet). ``page(numbers)`` turns the numbers, as they are read
back from the file, into Markdown (markdown.table and markdown.shown help), so that page and numbers cannot disagree.
The title, figure, machine, versions, date and command are added by the frame. Import what an extra provides
(fastip.train, photographs) inside ``run``: the list of experiments is printed without it.
"""

from .record import Experiment as Experiment
from .record import Outcome as Outcome
from .record import find as find
from .record import names as names
from .record import perform as perform
