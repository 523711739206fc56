"""A Stable Diffusion pipeline as one file, with the names of the original code."""

import re
from pathlib import Path

from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file
from torch import Tensor

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_WHOLE = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def save_single_file(pipeline: StableDiffusionPipeline, path: Path) -> Path:
    """Write a pipeline of Stable Diffusion 1 whose UNet has one layer a block."""
    tensors: dict[str, Tensor] = {}
    for name, value in pipeline.unet.state_dict().items():
        tensors["model.diffusion_model." + _of_unet(name)] = value
    for name, value in pipeline.vae.state_dict().items():
        is_matrix = "attentions" in name and name.endswith("weight") and value.ndim == 2
        value = value[:, :, None, None] if is_matrix else value
        tensors["first_stage_model." + _of_vae(name)] = value
    for name, value in pipeline.text_encoder.state_dict().items():
        prefix = "" if name.startswith("text_model.") else "text_model."
        tensors[f"cond_stage_model.transformer.{prefix}{name}"] = value
    save_file({name: value.contiguous().clone() for name, value in tensors.items()}, path)
    return path


def _of_unet(name: str) -> str:
    for own, original in _WHOLE.items():
        if name.startswith(own + "."):
            return name.replace(own, original, 1)
    if found := re.match(r"mid_block\.(resnets|attentions)\.(\d)\.(.*)", name):
        middle = int(found[2]) * 2 if found[1] == "resnets" else 1
        return f"middle_block.{middle}.{_of_layer(found[1], found[3])}"
    found = re.match(r"(down|up)_blocks\.(\d)\.(\w+)\.(\d)\.(.*)", name)
    assert found is not None, name
    side, block, kind, layer, rest = found[1], int(found[2]), found[3], int(found[4]), found[5]
    if side == "down":
        if kind == "downsamplers":
            return f"input_blocks.{2 * block + 2}.0.op.{rest.removeprefix('conv.')}"
        at = f"input_blocks.{2 * block + 1 + layer}"
    else:
        if kind == "upsamplers":  # behind the attention that the first block of ours has
            return f"output_blocks.{2 * block + 1}.2.{rest}"
        at = f"output_blocks.{2 * block + layer}"
    return f"{at}.{0 if kind == 'resnets' else 1}.{_of_layer(kind, rest)}"


def _of_layer(kind: str, rest: str) -> str:
    part, end = rest.split(".", 1)
    return f"{_RESNET[part]}.{end}" if kind == "resnets" else rest


def _of_vae(name: str) -> str:
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    if "mid_block.attentions.0." in name:
        head, rest = name.split("mid_block.attentions.0.")
        own = next(part for part in _ATTENTION if rest.startswith(part))
        return f"{head}mid.attn_1.{rest.replace(own, _ATTENTION[own], 1)}"
    name = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(
        r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"up.{3 - int(m[1])}.block.{m[2]}", name
    )
    name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{3 - int(m[1])}.upsample", name)
    return name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
