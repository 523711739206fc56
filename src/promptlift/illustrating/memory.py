"""How many pictures are drawn together, and what is freed when memory runs out."""

import gc

from promptlift.illustrating.pipeline import Pipelines

# Memory that a picture takes beside the weights, a pixel, in fp16 with guidance: a first guess,
# which is halved when memory runs out.
_BYTES_A_PIXEL = 5_000
_MOST_TOGETHER = 16


def guess_batch_size(device: str, *, width: int, height: int) -> int:
    """Pictures that the free memory of a GPU should hold; 1 on any other device."""
    # Measured on a CPU: rounding differs with the batch, and a batch is hardly faster there.
    if not device.startswith("cuda"):
        return 1
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(_MOST_TOGETHER, int(free) // (width * height * _BYTES_A_PIXEL)))


def free_memory(pipelines: Pipelines) -> None:
    """Free what an interrupted call left, and bring pipelines back to their precision."""
    import torch

    # Pipelines decode in float32 where fp16 overflows, and turn back only when that is done.
    for pipeline in pipelines.loaded:
        if isinstance(vae := getattr(pipeline, "vae", None), torch.nn.Module):
            vae.to(getattr(torch, pipelines.dtype))
    gc.collect()
    if pipelines.device.startswith("cuda"):
        torch.cuda.empty_cache()
    elif pipelines.device == "mps":
        torch.mps.empty_cache()
