"""The picture models that go by a short name: where they are, how they are licensed, how large.

Licences are those of the models' own cards on the Hub; sizes are those of the files of one
precision, without what a refiner shares with its base.
"""

from dataclasses import dataclass, field
from typing import Any

from promptlift.world import bundle

_STABILITY = (
    "Stability AI Non-Commercial Research Community License (for commercial use see "
    "https://stability.ai/license)"
)


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights on the Hub, or in the package.

    Attributes:
        name: name on the Hub, or a folder.
        licence: their licence.
        gigabytes: size of the download in half precision; in single precision twice that.
        label: of weights in the package: how they are called in results.
    """

    name: str
    licence: str
    gigabytes: float
    label: str | None = None


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A base, perhaps a refiner, and settings other than the defaults.

    Attributes:
        base: draws from noise.
        refiner: finishes what the base began; shares its second text encoder and its VAE.
        settings: fields of `IllustrationConfig`.
        notice: a line that is shown whenever it draws.
    """

    base: Weights
    refiner: Weights | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    notice: str | None = None


_SDXL = Weights(
    name="stabilityai/stable-diffusion-xl-base-1.0",
    licence="CreativeML Open RAIL++-M",
    gigabytes=6.9,
)
_REFINER = Weights(
    name="stabilityai/stable-diffusion-xl-refiner-1.0",
    licence="CreativeML Open RAIL++-M",
    gigabytes=4.5,
)
# The turbos are distilled to draw without guidance; four steps draw better than one
# (https://stability.ai/research/adversarial-diffusion-distillation).
_TURBO = {"num_inference_steps": 4, "guidance_scale": 0.0, "width": 512, "height": 512}

PRESETS: dict[str, Preset] = {
    "pocket": Preset(
        base=Weights(name=str(bundle.BASE), licence=bundle.LICENCE, gigabytes=0, label=bundle.NAME),
        settings={"num_inference_steps": 25, "guidance_scale": 7.5, "width": 64, "height": 64},
        notice=bundle.DRAWING_NOTICE,
    ),
    "sdxl": Preset(base=_SDXL, refiner=_REFINER, settings={"width": 1024, "height": 1024}),
    # As the paper draws: below the size that SDXL was made for.
    "paper": Preset(base=_SDXL, refiner=_REFINER, settings={"width": 512, "height": 512}),
    "sdxl-turbo": Preset(
        base=Weights(name="stabilityai/sdxl-turbo", licence=_STABILITY, gigabytes=6.9),
        settings=_TURBO,
    ),
    "sd-turbo": Preset(
        base=Weights(name="stabilityai/sd-turbo", licence=_STABILITY, gigabytes=2.6),
        settings=_TURBO,
    ),
    "sd15": Preset(
        base=Weights(
            name="stable-diffusion-v1-5/stable-diffusion-v1-5",
            licence="CreativeML Open RAIL-M",
            gigabytes=2.7,
        ),
        settings={"guidance_scale": 7.5, "width": 512, "height": 512},
    ),
}
