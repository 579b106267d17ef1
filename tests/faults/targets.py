"""The readers of files from anyone, each as a function of bytes, and small files to begin with.

`fuzz.py` drives them with a coverage-guided fuzzer, `test_fuzz.py` with a few hundred changes in each run of the tests.
"""

import functools
import io
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import h5py
import numpy as np
from small_data import make_dataset, make_shard, random_images

from faults.hdf5_mutation import Mutator
from scratchnet.data import Shard, pack_image, read_manifest, shards
from scratchnet.errors import ScratchnetError
from scratchnet.storage.hdf5 import WRITTEN_WITH
from scratchnet.training import checkpoint
from scratchnet.training.checkpoint import Progress, load_checkpoint, read_about, save_checkpoint
from scratchnet.training.config import Config, from_toml


def read_shard(path):
    with Shard(path) as shard:
        return (
            [shard.read(k).tobytes() for k in range(len(shard))],
            shard.labels.tolist(),
            shard.subjects,
            shard.paths,
            shard.header,
        )


def read_checkpoint(path):
    found = load_checkpoint(path)
    read_about(path)
    groups = (found.weights, found.optimizer or {})
    arrays = [{name: (x.dtype.str, x.shape, x.tobytes()) for name, x in group.items()} for group in groups]
    return arrays, repr(found.about), repr(found.progress)  # repr: NaN equals itself


def read_folder_of(path):
    return read_manifest(path.parent)


def read_config(path):
    return Config(**from_toml(path))


READERS = {
    "shard": (read_shard, "a.h5"),
    "manifest": (read_folder_of, "manifest.json"),
    "checkpoint": (read_checkpoint, "a.h5"),
    "config": (read_config, "config.toml"),
}


def run(kind, content, folder):
    """Reads `content` as a file of this kind: what it says, or the message of the ScratchnetError. Anything else is a fault."""
    reader, name = READERS[kind]
    path = Path(folder) / name
    path.write_bytes(content)
    try:
        return reader(path)
    except ScratchnetError as error:
        return str(error)


@functools.cache
def seeds(kind):
    """Small valid files of this kind, as bytes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if kind == "shard":
            paths = [make_shard(folder / f"{n}.h5", random_images(n), np.arange(n) % 2) for n in (1, 3)]
        elif kind == "checkpoint":
            paths = [folder / "few.h5", folder / "many.h5", folder / "weights.h5"]
            progress = Progress(epoch=2, batches_done=5, loss_sum=0.5, rows=[{"epoch": 1, "train_loss": 0.25}])
            few = {"conv1.weight": np.ones((2, 3), np.float32), "conv1.bias": np.zeros(3)}
            many = {f"dense{k}.weight": np.full(2, k, np.float32) for k in range(60)}  # more names than a header holds
            save_checkpoint(paths[0], few, {"seed": 3}, optimizer={"steps": np.array(7)}, progress=progress)
            save_checkpoint(paths[1], many, {}, optimizer=many, progress=Progress())
            save_checkpoint(paths[2], few, {"class_names": ["all", "hem"]})
        elif kind == "manifest":
            make_dataset(folder)
            paths = [folder / "manifest.json"]
        else:
            paths = [folder / "config.toml"]
            paths[0].write_text(Config(epochs=3, learning_rate=1e-4).to_toml(), encoding="utf-8")
        return [path.read_bytes() for path in paths]


_mutate_hdf5 = Mutator()


def mutate(kind, content, seed):
    """A changed copy of a file; the same seed gives the same change."""
    draw = np.random.default_rng(seed)
    if kind in ("shard", "checkpoint"):
        if draw.random() < 0.2:  # chance doesn't find the checksums that stand in the arrays' attributes either
            content = _rebuilt_shard(draw) if kind == "shard" else _rebuilt_checkpoint(draw)
        return content if draw.random() < 0.1 else _mutate_hdf5(content, seed)
    if draw.random() < 0.7:
        return _changed_manifest(content, draw) if kind == "manifest" else _changed_config(content, draw)
    changed = bytearray(content)
    for _ in range(draw.integers(1, 5)):
        position = draw.integers(len(changed) + 1)
        changed[position : position + draw.integers(3)] = draw.bytes(draw.integers(4))
    return bytes(changed)


ODD = (
    None,
    True,
    -1,
    0,
    1.5,
    2**70,
    float("nan"),
    1e308,
    "",
    "x" * 50,
    "../x",
    [],
    {},
    [[]],
    [None],
    {"a": 1},
    [1, 2, 3],
)


def _change_a_value(tree, draw):
    """One value somewhere in a JSON object replaced or taken out."""
    holder, last = tree, list(tree)[draw.integers(len(tree))]
    while isinstance(holder[last], dict | list) and holder[last] and draw.random() < 0.8:
        holder = holder[last]
        last = list(holder)[draw.integers(len(holder))] if isinstance(holder, dict) else draw.integers(len(holder))
    if draw.random() < 0.2:
        del holder[last]
    else:
        holder[last] = ODD[draw.integers(len(ODD))]


def _rebuilt_checkpoint(draw):
    """A checkpoint whose checksums are all right, with an odd value in its texts or an odd array."""
    texts = {
        "about": {"seed": 3, "config": {"epochs": 2}},
        "progress": asdict(Progress(1, 2, 0.5, [{"epoch": 1, "loss": 0.1}])),
    }
    arrays = {"weights/w": np.ones((2, 3), np.float32), "optimizer/steps": np.array(7)}
    if draw.random() < 0.7:
        _change_a_value(texts[("about", "progress")[draw.integers(2)]], draw)
    else:
        shape = tuple(draw.integers(0, 4, draw.integers(4)))
        arrays[("weights/x", "optimizer/x", "more")[draw.integers(3)]] = np.ones(
            shape, ("f4", "f8", "u1", "i8")[draw.integers(4)]
        )
    encoded = {name: bytearray(json.dumps(text).encode()) for name, text in texts.items()}
    if draw.random() < 0.2:
        text = encoded[("about", "progress")[draw.integers(2)]]
        text[draw.integers(len(text))] = draw.integers(256)
    arrays |= {name: np.frombuffer(bytes(text), np.uint8) for name, text in encoded.items()}
    checksums = {name: checkpoint._checksum(name, array) for name, array in arrays.items()}
    content = io.BytesIO()
    with h5py.File(content, "w", libver=WRITTEN_WITH) as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array).attrs.create("crc32", checksums[name], dtype="<u4")
        file.attrs.create("format", np.bytes_(checkpoint.FORMAT))
        file.attrs.create("version", checkpoint.VERSION, dtype="<i8")
        file.attrs.create("crc32", checkpoint._checksum_of_all(checksums), dtype="<u4")
    return content.getvalue()


def _rebuilt_shard(draw):
    """A shard whose checksums are all right, with an odd text, table, or image in it."""
    count, size = int(draw.integers(1, 4)), int(draw.integers(1, 5))
    tables = {"labels": np.arange(count), "subjects": np.array([b"S"] * count), "paths": np.array([b"a.png"] * count)}
    tables["checksums"] = np.zeros(count, np.uint32)
    texts = {
        "format": shards.FORMAT, "version": shards.VERSION, "dataset_id": "x", "split": "train",
        "class_names": json.dumps(["a", "b", "c"]), "preprocessing": json.dumps({"image_size": size}),
    }  # fmt: skip
    name = list(tables)[draw.integers(4)]
    change = draw.integers(4)
    if change == 0:
        tables[name] = np.resize(tables[name], draw.integers(5))
    elif change == 1:
        tables[name] = (np.array([b"\xff"] * count), np.full(count, -1), np.zeros((count, 1)))[draw.integers(3)]
    elif change == 2:
        texts[("class_names", "preprocessing", "split")[draw.integers(3)]] = json.dumps(ODD[draw.integers(len(ODD))])
    images = [pack_image(np.zeros((size, size, 3), np.uint8), k) for k in range(count)]
    if tables["checksums"].shape == (count,):
        tables["checksums"] = np.array(
            [image.checksum for image in images], tables["checksums"].dtype.newbyteorder("=")
        )
    content = io.BytesIO()
    with h5py.File(content, "w", libver=WRITTEN_WITH) as file:
        shape = (count, size, size, 3)
        stored = file.create_dataset("images", shape, np.uint8, chunks=(1, *shape[1:]), compression="gzip")
        for number, image in enumerate(images):
            damaged = image.stored[: draw.integers(1, len(image.stored))] if change == 3 else image.stored
            stored.id.write_direct_chunk((number, 0, 0, 0), damaged)
        for table, values in tables.items():
            file.create_dataset(table, data=values)
        file.attrs.create("table_checksum", shards._table_checksum(tables, texts), dtype="<i8")
        for text, value in texts.items():
            file.attrs.create(text, np.bytes_(value.encode()) if isinstance(value, str) else np.int64(value))
    return content.getvalue()


def _changed_manifest(content, draw):
    """One value somewhere in the JSON replaced or taken out, and the checksum made right again."""
    from scratchnet.data import manifest

    try:
        tree = json.loads(content)
        tree.pop("checksum")
        assert tree
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError, AssertionError):
        tree = json.loads(seeds("manifest")[0])
    _change_a_value(tree, draw)
    return json.dumps({**tree, "checksum": manifest._checksum(tree)}).encode()


TOML = (
    "true",
    "-1",
    "0",
    "1",
    "3",
    "1.5",
    "nan",
    "inf",
    "1e400",
    "9" * 30,
    '""',
    '"x"',
    '"report-wide"',
    "[]",
    "{}",
    "[1]",
    "1979-05-27",
    "0x10",
)


def _changed_config(content, draw):
    """One line of the file with another value, or twice, or under a table."""
    lines = content.decode(errors="replace").splitlines() or ["seed = 0"]
    number = draw.integers(len(lines))
    change = draw.integers(4)
    if change == 0:
        lines.insert(number, lines[draw.integers(len(lines))])
    elif change == 1:
        lines.insert(number, "[table]")
    else:
        lines[number] = f"{lines[number].partition('=')[0]}= {TOML[draw.integers(len(TOML))]}"
    return "\n".join(lines).encode()
