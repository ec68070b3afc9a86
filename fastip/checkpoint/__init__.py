"""Weights with the problem they were trained for.

Safetensors files hold tensors and one JSON record, checked when they are read.
"""

from .container import FORMAT as FORMAT
from .container import SUFFIX as SUFFIX
from .container import check_path as check_path
from .container import digest as digest
from .container import read as read
from .container import read_record as read_record
from .container import write as write
from .generator import load_generator as load_generator
from .generator import save_generator as save_generator
from .inverse import inverse_record as inverse_record
from .inverse import load_inverse as load_inverse
from .inverse import save_inverse as save_inverse
from .parts import describe as describe
from .prior import load_prior as load_prior
from .prior import save_prior as save_prior
from .projector import load_projector as load_projector
from .projector import save_projector as save_projector
from .restorer import load_restorer as load_restorer
from .restorer import save_restorer as save_restorer
