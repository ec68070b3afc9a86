"""The command line: fastip restore | degrade | serve | tasks | demo | bench | train | data | experiment | info.

What a command needs is loaded when it runs: help, a wrong option and a wrong name cost no torch.
"""

from .app import main as main
