"""Changes HDF5 files where it hurts: inside the library's structures, with their checksums made right again.

Every structure of a scratchnet file ends with a checksum, so nearly all random changes are refused at once and reach nothing.
Whoever builds a hostile file computes the checksum anew; so does `Mutator`.
"""

import random
from typing import NamedTuple

import numba
import numpy as np

SIGNATURES = (b"OHDR", b"OCHK", b"FRHP", b"FHDB", b"BTHD", b"BTLF", b"BTIN", b"FAHD", b"FADB", b"FHIB")
LONGEST = 600  # bytes of a structure whose length is searched for
NUMBERS = (0, 1, 2, 8, 255, 2**15, 2**16 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63, 2**64 - 2, 2**64 - 1)


@numba.njit(cache=True)
def lookup3(data):
    """Bob Jenkins's hashlittle with start value 0, HDF5's checksum of its metadata."""

    def rotated(x, k):
        return ((x << k) | (x >> (32 - k))) & 0xFFFFFFFF

    mask = 0xFFFFFFFF
    length = len(data)
    a = b = c = (0xDEADBEEF + length) & mask
    if length == 0:
        return c
    words = np.zeros(3, np.int64)
    position = 0
    while True:
        words[:] = 0
        count = min(12, length - position)
        for k in range(count):
            words[k // 4] |= np.int64(data[position + k]) << (8 * (k % 4))
        a, b, c = (a + words[0]) & mask, (b + words[1]) & mask, (c + words[2]) & mask
        position += count
        if position == length:
            break
        a = (a - c) & mask ^ rotated(c, 4)
        c = (c + b) & mask
        b = (b - a) & mask ^ rotated(a, 6)
        a = (a + c) & mask
        c = (c - b) & mask ^ rotated(b, 8)
        b = (b + a) & mask
        a = (a - c) & mask ^ rotated(c, 16)
        c = (c + b) & mask
        b = (b - a) & mask ^ rotated(a, 19)
        a = (a + c) & mask
        c = (c - b) & mask ^ rotated(b, 4)
        b = (b + a) & mask
    c = ((c ^ b) - rotated(b, 14)) & mask
    a = ((a ^ c) - rotated(c, 11)) & mask
    b = ((b ^ a) - rotated(a, 25)) & mask
    c = ((c ^ b) - rotated(b, 16)) & mask
    a = ((a ^ c) - rotated(c, 4)) & mask
    b = ((b ^ a) - rotated(a, 14)) & mask
    return ((c ^ b) - rotated(b, 24)) & mask


@numba.njit(cache=True)
def _checksum_after(data, first, last):
    """The first place, first ≤ place ≤ last, of four bytes that are the checksum of all before them; 0 if there is none."""
    for end in range(first, min(last, len(data) - 4) + 1):
        stored = 0
        for k in range(4):
            stored |= np.int64(data[end + k]) << (8 * k)
        if stored == lookup3(data[:end]):
            return end
    return 0


class Span(NamedTuple):
    """Bytes under one checksum, which stands at `place`: behind them, or, in a heap's block, among them, where it counts as zeros."""

    start: int
    end: int
    place: int

    def checksum(self, content):
        """What it should be."""
        covered = bytearray(content[self.start : self.end])
        if self.place < self.end:
            covered[self.place - self.start : self.place - self.start + 4] = bytes(4)
        return int(lookup3(np.frombuffer(bytes(covered), np.uint8)))

    def holds(self, content):
        """Whether it is there and right."""
        return int.from_bytes(content[self.place : self.place + 4], "little") == self.checksum(content)


def structures(content):
    """Every structure of an HDF5 file whose checksum is right: the superblock, and what begins with a signature."""
    data = np.frombuffer(content, np.uint8)
    found = [Span(0, 44, 44)]
    for signature in SIGNATURES:
        start = content.find(signature)
        while start >= 0:
            if signature == b"FHDB":
                found += [Span(start, start + size, start + 17) for size in (512, 1024, 2048, 4096, 8192)]
            elif signature == b"OHDR" and start + 26 < len(content):
                flags = content[start + 5]
                head = 6 + (16 if flags & 32 else 0) + (4 if flags & 16 else 0) + (1 << (flags & 3))
                length = int.from_bytes(content[start + head - (1 << (flags & 3)) : start + head], "little")
                found.append(Span(start, start + head + length, start + head + length))
            elif length := _checksum_after(data[start : start + LONGEST], 8, LONGEST):
                found.append(Span(start, start + length, start + length))
            start = content.find(signature, start + 1)
    return [span for span in found if max(span.end, span.place + 4) <= len(content) and span.holds(content)]


def repaired(content, spans):
    """The content with the checksum of each span computed anew."""
    fixed = bytearray(content)
    for span in spans:
        if max(span.end, span.place + 4) <= len(fixed):
            fixed[span.place : span.place + 4] = span.checksum(fixed).to_bytes(4, "little")
    return bytes(fixed)


class Mutator:
    """Changes files; the same seed gives the same changes."""

    def __init__(self):
        self._spans = {}

    def __call__(self, content, seed):
        """A changed copy of `content`: a few numbers of its structures replaced, moved or flipped, checksums right again."""
        draw = random.Random(seed)
        if content not in self._spans:
            if len(self._spans) > 1000:
                self._spans.clear()
            self._spans[content] = structures(content)
        spans = self._spans[content]
        changed = bytearray(content)
        for _ in range(draw.choice((1, 1, 1, 2, 3, 5))):
            self._change(changed, spans, draw)
        if draw.random() < 0.1:
            changed = self._resized(changed, draw)
        return repaired(changed, spans) if draw.random() < 0.9 else bytes(changed)

    @staticmethod
    def _change(changed, spans, draw):
        start, end, _ = draw.choice(spans) if spans and draw.random() < 0.9 else (0, len(changed), 0)
        position = draw.randrange(start, max(start + 1, end))
        kind, width = draw.randrange(6), draw.choice((1, 2, 4, 8))
        old = int.from_bytes(changed[position : position + width], "little")
        if kind == 0:
            new = old ^ (1 << draw.randrange(8 * width))
        elif kind == 1:
            new = draw.choice(NUMBERS)
        elif kind == 2:
            new = draw.choice(spans)[0] if spans else len(changed)  # the address of another structure
        elif kind == 3:
            new = old + draw.choice((-8, -1, 1, 8))
        elif kind == 4:
            new = draw.getrandbits(8 * width)
        else:
            other = draw.randrange(max(1, len(changed) - width))
            new = int.from_bytes(changed[other : other + width], "little")
        changed[position : position + width] = (new % 2 ** (8 * width)).to_bytes(width, "little")

    @staticmethod
    def _resized(changed, draw):
        """Cut or longer, with the file's size in the superblock as it is now."""
        length = draw.randrange(len(changed) + 1) if draw.random() < 0.5 else len(changed) + draw.randrange(1, 100)
        changed = changed[:length] + bytes(max(0, length - len(changed)))
        if len(changed) >= 48:
            changed[28:36] = len(changed).to_bytes(8, "little")
        return changed
