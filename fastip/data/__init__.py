"""Data: public sets by package clients, patches and batches that a step number determines, degradations, and tiles."""

from ..nets.tiles import Box, Tiles
from .avatars import Avatars
from .cache import MissingData, fetch, fetched, folder
from .clients import DownloadFailed
from .degrade import degrade
from .digits import Digits, Fashion
from .faces import Faces
from .image_folder import FolderPictures
from .photographs import EVERYDAY, Photographs, centre, held_out_photographs
from .pictures import Batches, Pictures, Stored
from .reduced import ReducedPhotographs, validation_photographs
from .sources import COLLECTIONS, Collection, Part, Source, find

__all__ = [
    "COLLECTIONS",
    "EVERYDAY",
    "Avatars",
    "Batches",
    "Box",
    "Collection",
    "Digits",
    "DownloadFailed",
    "Faces",
    "Fashion",
    "FolderPictures",
    "MissingData",
    "Part",
    "Photographs",
    "Pictures",
    "ReducedPhotographs",
    "Source",
    "Stored",
    "Tiles",
    "centre",
    "degrade",
    "fetch",
    "fetched",
    "find",
    "folder",
    "held_out_photographs",
    "validation_photographs",
]
