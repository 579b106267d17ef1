"""The header of a BMP: how many bits its pixels have, whether it says what they mean, and its palette."""

from scratchnet.data.container import Container

RGB = 0  # uncompressed, without masks


def parse(data: bytes) -> Container:
    """A BMP, with remarks on its pixels. A pixel's fourth byte is usually padding, whatever the header calls it."""
    header = int.from_bytes(data[14:18], "little")
    at = 24 if header == 12 else 28
    bits = int.from_bytes(data[at : at + 2], "little")
    compression = 0 if header == 12 else int.from_bytes(data[30:34], "little")
    remarks: list[str] = []
    if bits in (1, 4, 8):
        return _of_a_palette(data, header, bits)
    if bits == 16:
        remarks.append("5 or 6 bits a channel, spread over 8")
    if bits == 32 and compression == RGB and _fourth_bytes_differ(data):
        remarks.append("the fourth byte of each pixel, which has no meaning in this kind of BMP, dropped")
    return Container(data, remarks=tuple(remarks), alpha_is_named=False)


def _of_a_palette(data: bytes, header: int, bits: int) -> Container:
    """A BMP whose palette is extended to all indices that its pixels can have.

    Pillow takes pixels of 4 or 8 bits for single bits if the palette is just black and white.
    """
    start, step = int.from_bytes(data[10:14], "little"), 3 if header == 12 else 4
    first, most = 14 + header, 2**bits
    said = most if header == 12 else int.from_bytes(data[46:50], "little") or most
    room = (start - first) // step  # what follows is pixels
    if room <= 0 or not 12 <= header <= 124:
        return Container(data, alpha_is_named=False)
    colours = min(said, room, most)
    if colours == most:
        return Container(data, alpha_is_named=False, colours=colours)
    palette = data[first : first + step * colours].ljust(step * most, b"\0")
    moved = (first + len(palette)).to_bytes(4, "little")
    head = data[14:first] if header == 12 else data[14:46] + most.to_bytes(4, "little") + data[50:first]
    return Container(b"".join((data[:10], moved, head, palette, data[start:])), alpha_is_named=False, colours=colours)


def _fourth_bytes_differ(data: bytes) -> bool:
    """Whether the bytes beside blue, green and red are not all the same."""
    start = int.from_bytes(data[10:14], "little")
    sides = (int.from_bytes(data[at : at + 4], "little", signed=True) for at in (18, 22))
    width, height = map(abs, sides)
    fourth = memoryview(data)[start : start + 4 * width * height][3::4]
    return len(fourth) > 0 and fourth.tobytes().count(fourth[:1].tobytes()) < len(fourth)
