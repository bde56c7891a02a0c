"""How each kind of microscopy shows a nerve, and the section that is drawn."""

from dataclasses import dataclass, field

import numpy as np

Array = np.ndarray
Rng = np.random.Generator
Span = tuple[float, float]  # lowest and highest value; images or fibers differ within it


@dataclass(frozen=True)
class Look:
    """One kind of microscopy; grey levels are those of images with bright myelin."""

    # Two populations of fibers: (share, median, standard deviation of the logarithm).
    diameters_um: tuple[tuple[float, float, float], tuple[float, float, float]]
    g_ratio: tuple[tuple[float, ...], tuple[float, ...]]  # fiber diameters (µm), mean g-ratios
    tones: dict[str, Span]  # grey levels of myelin, axon, ground and cell
    noise: Span  # standard deviation, grey levels
    g_shift: Span = (-0.08, 0.06)  # of all g-ratios of an image
    packing: Span = (0.60, 0.95)  # part of the area that fibers and cells fill
    remak_share: float = 0.06  # bundles of thin axons among fibers and cells
    cell_share: float = 0.04
    cell_um: Span = (1.5, 5.0)  # diameters of cells and bundles
    rim_um: float = 6.0  # fibers are placed this far beyond the image: a large fiber's radius
    blur_um: Span = (0.07, 0.15)  # Gaussian sigma; about 0.2 µm resolution of an oil objective
    sharpening: float = 0.0  # at most
    scanning: bool = False  # charging, scan lines
    pale_sheaths: float = 0.1  # share of fibers whose myelin is weakly stained
    filled_axons: float = 0.04  # share of axons greyer than the others
    thin_axons: float = -0.6  # unmyelinated axons in the ground: below 0 few, 2 everywhere
    membranes: bool = False  # thin axons are outlined by dark lines
    mitochondria: float = 0.0  # mean number in an axon


# Light: a group of small and one of large fibers, as in motor branches of the tibial nerve (Fraher
# et al. 1990, Acta Neuropathol 79:364, rat) and ventral roots (Berthold et al. 1983, J Anat
# 136:483, cat); sheaths are relatively thicker on smaller fibers (Berthold: 30 lamellae per µm of
# axon in the small group, 15 in the large), but thin on the smallest (Fraher). Electron: white
# matter of the spinal cord, as in the SEM set of Zaimi et al. 2018, Sci Rep 8:3816,
# doi:10.1038/s41598-018-22181-4, where the square root of axon over fiber area is 0.61 to 0.69.
# The other numbers are set by eye: light after inverted images of mouse nerves; stained after
# toluidine blue and rat optic nerve (thin faint sheaths, regenerating fibers, dark cells); osmium
# after spinal cord (black myelin on a dark ground); cars after its dim and noisy rings;
# transmission after corpus callosum (unmyelinated axons, mitochondria).
LOOKS = {
    "light": Look(
        diameters_um=((0.5, 3.6, 0.28), (0.5, 7.8, 0.20)),
        g_ratio=((1.5, 3.5, 6.0, 12.0), (0.68, 0.57, 0.62, 0.70)),
        tones={"myelin": (195, 232), "axon": (3, 22), "ground": (22, 48), "cell": (78, 115)},
        noise=(1.5, 5.0),
        g_shift=(-0.10, 0.04),
        packing=(0.88, 1.02),
        remak_share=0.08,
        cell_share=0.03,
        cell_um=(2.5, 7.0),
        rim_um=8.0,
        sharpening=0.5,
    ),
    "electron": Look(
        diameters_um=((0.7, 2.2, 0.40), (0.3, 4.8, 0.40)),
        g_ratio=((0.8, 2.5, 5.0, 10.0), (0.72, 0.63, 0.65, 0.71)),
        tones={"myelin": (150, 215), "axon": (25, 80), "ground": (50, 110), "cell": (60, 105)},
        noise=(4.0, 25.0),
        g_shift=(-0.05, 0.05),
        packing=(0.70, 0.92),
        rim_um=4.0,
        scanning=True,
    ),
    "stained": Look(
        diameters_um=((0.75, 2.6, 0.35), (0.25, 5.5, 0.30)),
        g_ratio=((1.0, 3.0, 6.0, 12.0), (0.74, 0.70, 0.68, 0.74)),
        tones={"myelin": (165, 225), "axon": (25, 70), "ground": (55, 115), "cell": (95, 190)},
        noise=(1.5, 7.0),
        g_shift=(-0.12, 0.06),
        packing=(0.45, 0.95),
        cell_share=0.10,
        cell_um=(2.0, 7.0),
        blur_um=(0.12, 0.35),
        sharpening=0.8,
        pale_sheaths=0.5,
        filled_axons=0.3,
        thin_axons=0.3,
    ),
    "osmium": Look(
        diameters_um=((0.5, 3.0, 0.35), (0.5, 6.5, 0.30)),
        g_ratio=((1.0, 3.0, 6.0, 12.0), (0.60, 0.55, 0.58, 0.64)),
        tones={"myelin": (232, 252), "axon": (40, 120), "ground": (165, 222), "cell": (150, 215)},
        noise=(1.0, 5.0),
        blur_um=(0.08, 0.25),
        filled_axons=0.15,
    ),
    "cars": Look(
        diameters_um=((0.7, 2.2, 0.35), (0.3, 4.5, 0.30)),
        g_ratio=((0.8, 2.5, 5.0, 10.0), (0.60, 0.60, 0.64, 0.70)),
        tones={"myelin": (70, 140), "axon": (4, 25), "ground": (14, 45), "cell": (6, 30)},
        noise=(3.0, 12.0),
        packing=(0.75, 1.0),
        blur_um=(0.10, 0.28),
        pale_sheaths=0.25,
        filled_axons=0.2,
    ),
    "transmission": Look(
        diameters_um=((0.6, 3.2, 0.35), (0.4, 6.0, 0.35)),
        g_ratio=((1.0, 3.0, 6.0, 12.0), (0.74, 0.74, 0.78, 0.82)),
        tones={"myelin": (190, 240), "axon": (25, 75), "ground": (35, 85), "cell": (80, 150)},
        noise=(3.0, 20.0),
        packing=(0.40, 0.90),
        remak_share=0.02,
        blur_um=(0.03, 0.12),
        filled_axons=0.15,
        thin_axons=2.0,
        membranes=True,
        mitochondria=1.5,
    ),
}


@dataclass
class Section:
    """The tissue section that is drawn."""

    shape: tuple[int, int]  # rows and columns of the image
    pixel_size_um: float
    look: Look
    contents: set[str]  # difficult ones, of `nerve.SCENES`
    rng: Rng
    tones: dict[str, float] = field(default_factory=dict)  # within those of the look

    def px(self, um: float) -> float:
        """Return a length in pixels."""
        return um / self.pixel_size_um
