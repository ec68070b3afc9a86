"""Raw tensor routines: no state, no mathematical objects.

Each family is called like its formula in ``reference``, which documents it, and runs the fastest implementation that
takes its tensors: compiled, Triton's, the reference, or the operator of torch.ops.fastip where a gradient or a graph is
asked for (choose.py). The reference checks nothing: the InvalidInput that it documents comes from all the others.
"""

from importlib import import_module
from pkgutil import iter_modules

from .choose import available as available
from .choose import describe as describe
from .choose import why_reference as why_reference
from .convolution import stencil as stencil
from .convolution import strided_conv as strided_conv
from .convolution import strided_conv_adjoint as strided_conv_adjoint
from .data_step import woodbury as woodbury
from .family import FAMILIES
from .shuffle import pixel_shuffle as pixel_shuffle
from .shuffle import pixel_unshuffle as pixel_unshuffle
from .spectral_step import spectral_step_ as spectral_step_
from .split_step import split_close as split_close
from .split_step import split_mix as split_mix
from .split_step import split_open as split_open
from .threshold import soft_threshold as soft_threshold
from .total_variation import tv_prox as tv_prox
from .whole_solve import solve as solve

for _module in iter_modules(__path__):  # a family registers itself, and is found here without a line of its own
    import_module(f"{__name__}.{_module.name}")
globals().update(FAMILIES)
