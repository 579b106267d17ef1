"""TIFF files written by hand, for what Pillow does not write: any tags, several pages, classic and BigTIFF, both orders of bytes."""

import struct

import numpy as np

LETTERS = {1: "B", 3: "H", 4: "I", 16: "Q"}


def page(pixels, photometric, *, planar=1, compression=1, extra=None, pack=bytes, bits=None, more=()):
    """The tags of a page, and its strips. pixels (H, W, C); of planar=2, each channel is a strip. pack: compresses a strip."""
    height, width, samples = pixels.shape
    parts = [pixels[:, :, c] for c in range(samples)] if planar == 2 else [pixels]
    strips = [pack(np.ascontiguousarray(part).tobytes()) for part in parts]
    tags = {
        256: (4, [width]), 257: (4, [height]), 258: (3, [bits or 8 * pixels.itemsize] * samples), 259: (3, [compression]),
        262: (3, [photometric]), 277: (3, [samples]), 278: (4, [height]), 284: (3, [planar]),
        273: (4, [0] * len(strips)), 279: (4, [len(strip) for strip in strips]),
    }  # fmt: skip
    if extra is not None:
        tags[338] = (3, extra)
    return tags | dict(more), strips


def tiff(*pages, big=False, order="<"):
    """The file that holds these pages."""
    head, entry, pointer, inline = ("Q", "HHQ", "Q", 8) if big else ("H", "HHI", "I", 4)
    magic = b"II" if order == "<" else b"MM"
    content = magic + (struct.pack(f"{order}HHHQ", 43, 8, 0, 0) if big else struct.pack(f"{order}HI", 42, 0))
    waiting = 8 if big else 4  # where the place of the next directory is to be written
    for tags, strips in pages:
        places = []
        for strip in strips:
            places.append(len(content))
            content += strip + b"\0" * (len(strip) % 2)
        tags = tags | {273: (4, places)}
        stored = {}
        for tag, (kind, values) in tags.items():
            raw = struct.pack(f"{order}{len(values)}{LETTERS[kind]}", *values)
            if len(raw) > inline:
                raw, content = struct.pack(f"{order}{pointer}", len(content)), content + raw + b"\0" * (len(raw) % 2)
            stored[tag] = struct.pack(f"{order}{entry}", tag, kind, len(values)) + raw.ljust(inline, b"\0")
        place = struct.pack(f"{order}{pointer}", len(content))
        content = content[:waiting] + place + content[waiting + len(place) :]
        content += struct.pack(f"{order}{head}", len(tags)) + b"".join(stored[tag] for tag in sorted(stored))
        waiting = len(content)
        content += bytes(inline)
    return content
