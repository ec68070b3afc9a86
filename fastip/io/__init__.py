"""Files: images and vectors in, images and vectors out, whole or not at all."""

from .formats import FORMATS as FORMATS
from .formats import SUFFIXES as SUFFIXES
from .formats import format_of as format_of
from .images import Kind as Kind
from .images import check_write as check_write
from .images import read_image as read_image
from .images import write_image as write_image
from .pages import count_pages as count_pages
from .pages import write_pages as write_pages
from .source import MAX_PIXELS as MAX_PIXELS
from .transfer import Transfer as Transfer
from .vectors import read_vector as read_vector
from .vectors import write_vector as write_vector
