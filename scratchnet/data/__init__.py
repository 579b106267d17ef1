"""Images ready for training: the shard format, and reading, shuffling, batching, augmenting and prefetching it.

`python -m data_prep` writes what this package reads; nothing here knows it. It may import storage, terminal, random and errors.
"""

from scratchnet.data.augment import Augmentation, brighten, random_symmetries, symmetry
from scratchnet.data.batches import Batch, Batches
from scratchnet.data.dataset import Dataset
from scratchnet.data.image_set import ArrayImages, ImageSet
from scratchnet.data.manifest import Manifest, Remark, ShardFile, Split, read_manifest, write_manifest
from scratchnet.data.order import epoch_order
from scratchnet.data.pixels import PixelScaling
from scratchnet.data.shards import PackedImage, Shard, ShardHeader, pack_image, write_shard

__all__ = [
    "ArrayImages", "Augmentation", "Batch", "Batches", "Dataset", "ImageSet", "Manifest", "PackedImage", "PixelScaling",
    "Remark", "Shard", "ShardFile", "ShardHeader", "Split", "brighten", "epoch_order", "pack_image",
    "random_symmetries", "read_manifest", "symmetry", "write_manifest", "write_shard",
]  # fmt: skip
