"""How many tiles go together: the caches decide (`machine/caches.py`), and no bit of a result hangs on it.

Each number should come from the far cache once and be used often while it is near. C channels, F filters, 4 bytes each, and
64 points, or the fewer of whole images:

    forward, U    V of T tiles      64 · T · C       made once for the group, read once for each panel of filters: L2
    is read       M of one panel    64 · T · 32      L2
                  U                 64 · C · F       read once for each group, from L3 or memory
                  → T so that V and M take 3/8 of L2. The processor foresees how U is read, from end to end, but not how V
                    is, a piece here and a piece there: so V stays near and U comes from afar

    forward, U    U of one block    64 · 32 · 32     made once, where it is used: L2
    is made       M of one panel    64 · T · 32      added to once for each block of channels: L2
                  → where T = all tiles, so few that M fills a quarter of L2 at most, V beside it as much or more, or half of
                    L2 where a panel of U alone outgrows the other half

    gradient of   V and dM of T tiles, and the     64 · (T · C + T · F + C · F): where C · F is small, all of it in L2,
    the filters   sums dU, C × F for each point    T being what dU leaves room for
                  V and dM of a group of tiles     64 · T · (C + F): else in a quarter of L3, dU block by block in L2
                  dU                               64 · C · F: where it outgrows even such a group, V and dM are half as large
                                                   again as dU, and each number of the three comes from afar once

Sums run on in one order, whatever T is: `tile_product` goes on from what the tile holds.
"""

from scratchnet.kernels.machine.caches import caches
from scratchnet.kernels.machine.threads import thread_count
from scratchnet.kernels.machine.vectors import TILE_ROWS, TILE_VECTORS, VECTOR_BYTES

PANEL_BYTES = TILE_VECTORS * VECTOR_BYTES  # of one tile's M at one point, for one panel of filters; of one channel's U
MOST = 32 * TILE_ROWS  # tiles: more bring nothing


def reading_tiles(channels: int, points: int, itemsize: int) -> int:
    """Tiles of a group in the forward pass that reads its transformed filters; whole register tiles."""
    return _whole(caches().l2 * 3 // 8 // (points * (channels * itemsize + PANEL_BYTES)))


def making_tiles(channels: int, points: int, itemsize: int) -> int:
    """As many tiles as a forward pass can have that makes its transformed filters where it uses them; whole register tiles."""
    panel_of_m = points * PANEL_BYTES
    by_l2 = caches().l2 // (2 if channels * panel_of_m > caches().l2 // 2 else 4) // panel_of_m
    by_l3 = caches().l3 // 2 // thread_count() // (points * channels * itemsize)
    return _whole(min(by_l2, by_l3))


def is_near(channels: int, tiles: int, points: int, itemsize: int) -> bool:
    """Whether V of so many tiles fits in the shared cache, so that tasks which multiply it with other filters need not make it anew."""
    return points * channels * tiles * itemsize <= caches().l3 // 4


def slot_tiles(channels: int, filters: int, points: int, itemsize: int) -> int:
    """Tiles of a block where each task sums up a dU of its own; whole register tiles."""
    room = caches().l2 * 7 // 8 - points * channels * filters * itemsize
    return _whole(min(room // (points * (channels + filters) * itemsize), 4 * TILE_ROWS))


def group_tiles(channels: int, filters: int, points: int, itemsize: int) -> tuple[int, bool]:
    """Tiles of a group whose V and dM wait for dU, and whether they wait in the shared cache."""
    by_l3 = caches().l3 // 4 // (points * (channels + filters) * itemsize)
    as_large_as_du = channels * filters // (channels + filters)
    near = by_l3 >= max(as_large_as_du, TILE_ROWS)
    return _whole(by_l3 if near else as_large_as_du * 3 // 2, most=1 << 20), near


def _whole(tiles: int, most: int = MOST) -> int:
    """Cut off to whole register tiles, one at least."""
    return max(1, min(tiles, most) // TILE_ROWS) * TILE_ROWS
