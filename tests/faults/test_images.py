"""One folder with more than sixty kinds of image files: each is used or named with the reason, and nothing crashes.

The kinds that differ in their content alone come from tests/image_kinds.py; here are the names, the links, and the tricks.
"""

import io
import os
import socket
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from image_kinds import CONVERTED, LEFT_OUT, png_chunk
from PIL import Image, PngImagePlugin
from small_data import save_image

from data_prep import main
from scratchnet.data import Dataset, read_manifest
from scratchnet.prepare import printable

SIZE = 12  # of the prepared images: the files are 12 wide and 10 high, so that nothing is scaled


def pixels_of(seed):
    """What `save_image` writes for this seed, as it should stand in a shard: one black row above and one below."""
    square = np.zeros((SIZE, SIZE, 3), np.uint8)
    square[1:-1] = np.random.default_rng(seed).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    return square


def bytes_of(seed, kind, **options):
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def with_chunk(content, chunk):
    """A PNG with one more chunk, before its pixels."""
    position = content.index(b"IDAT") - 4
    return content[:position] + chunk + content[position:]


def png_text_bomb(seed):
    return with_chunk(bytes_of(seed, "PNG"), png_chunk(b"zTXt", b"comment\0\0" + zlib.compress(bytes(2**27), 9)))


def png_profile_bomb(seed):
    return with_chunk(bytes_of(seed, "PNG"), png_chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(2**27), 9)))


def png_pixel_bomb(seed):
    """A small picture whose pixels are a hundred megabytes of zeros."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 12, 10, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(bytes(10**8), 9)) + png_chunk(b"IEND", b"")


def png_wrong_sum(seed):
    content = bytearray(bytes_of(seed, "PNG"))
    content[29] ^= 1  # the checksum of the header
    return bytes(content)


def png_interlaced_in_name_only(seed):
    return bytes_of(seed, "PNG") + b"what follows the end of a PNG belongs to nobody"


def png_long_comment(seed):
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "x" * 10_000)
    return bytes_of(seed, "PNG", pnginfo=info)


def bmp_top_down(seed):
    """The same picture with its first row first, which a negative height says."""
    content = bytearray(bytes_of(seed, "BMP"))
    start, width = struct.unpack_from("<I", content, 10)[0], 36
    rows = [content[start + width * row : start + width * (row + 1)] for row in range(10)]
    struct.pack_into("<i", content, 22, -10)
    content[start:] = b"".join(reversed(rows))
    return bytes(content)


def bmp_wrong_length(seed):
    content = bytearray(bytes_of(seed, "BMP"))
    struct.pack_into("<I", content, 2, 2**31)
    return bytes(content)


def bmp_pixels_far_away(seed):
    content = bytearray(bytes_of(seed, "BMP"))
    struct.pack_into("<I", content, 10, 2**31)
    return bytes(content)


def tiff_circle(seed):
    """A directory of tags that is its own successor: endless pages."""
    content = bytearray(bytes_of(seed, "TIFF"))
    first = struct.unpack_from("<I", content, 4)[0]
    entries = struct.unpack_from("<H", content, first)[0]
    struct.pack_into("<I", content, first + 2 + 12 * entries, first)
    return bytes(content)


def tiff_many_pages(seed):
    """Fifty thousand pages that all show the same pixels."""
    content = bytearray(bytes_of(seed, "TIFF"))
    first = struct.unpack_from("<I", content, 4)[0]
    length = 2 + 12 * struct.unpack_from("<H", content, first)[0]
    tags = bytes(content[first : first + length])
    struct.pack_into("<I", content, first + length, len(content))
    for _ in range(50_000):
        content += tags + struct.pack("<I", len(content) + length + 4)
    return bytes(content)


def tiff_many_tags(seed):
    content = bytearray(bytes_of(seed, "TIFF"))
    struct.pack_into("<H", content, struct.unpack_from("<I", content, 4)[0], 65535)
    return bytes(content)


def tiff_many_full_pages(seed):
    """A hundred pages of 65,535 tags each, in under a megabyte: the tags of one are those of the next, but for the first."""
    header = b"II*\0" + struct.pack("<IH", 8, 65535)
    tags = b"".join(
        struct.pack("<HHII", k, 4, 1, 0xFFFF0000) for k in range(65535)
    )  # whose end is the next page's count
    return header + tags + b"".join(struct.pack("<IQ", 8 + 12 * (k + 1), 0) for k in range(100))


def png_many_texts(seed):
    """Three thousand comments of a megabyte each."""
    return with_chunk(bytes_of(seed, "PNG"), png_chunk(b"zTXt", b"comment\0\0" + zlib.compress(bytes(2**20), 9)) * 3000)


def png_16_bits(seed):
    """The largest picture of 16 bits a channel, all of it black."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 4096, 4096, 16, 2, 0, 0, 0))
    rows = zlib.compressobj(9)
    packed = b"".join([*(rows.compress(bytes(1 + 4096 * 6)) for _ in range(4096)), rows.flush()])
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", packed) + png_chunk(b"IEND", b"")


def jpeg_sides(width, height):
    """A JPEG whose header declares other sides than it has pixels for."""

    def write(seed):
        content = bytearray(bytes_of(seed, "JPEG"))
        struct.pack_into(">HH", content, content.index(b"\xff\xc0") + 5, height, width)
        return bytes(content)

    return write


def exif(orientation):
    def write(seed):
        tags = Image.Exif()
        tags[0x0112] = orientation
        return bytes_of(seed, "PNG", exif=tags)

    return write


def broken_exif(seed):
    return bytes_of(seed, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")


def animated_gif(seed):
    buffer = io.BytesIO()
    Image.new("RGB", (12, 10)).save(buffer, "GIF", save_all=True, append_images=[Image.new("RGB", (12, 10), (9, 9, 9))])
    return buffer.getvalue()


def several_pictures(seed):
    buffer = io.BytesIO()
    Image.new("RGB", (12, 10)).save(buffer, "MPO", save_all=True, append_images=[Image.new("RGB", (12, 10), (9, 9, 9))])
    return buffer.getvalue()


# Name of the file: its content, and a part of what is said of it. USED: nothing. EXACT: nothing, and its pixels are compared.
USED, EXACT = "used", "exact"
CONTENT = {
    "top-down.bmp": (bmp_top_down, EXACT),
    "wrong-length.bmp": (bmp_wrong_length, EXACT),
    "trailing.png": (png_interlaced_in_name_only, EXACT),
    "comment.png": (png_long_comment, EXACT),
    "uncompressed.png": (lambda seed: bytes_of(seed, "PNG", compress_level=0), EXACT),
    "lzw.tif": (lambda seed: bytes_of(seed, "TIFF", compression="tiff_lzw"), EXACT),
    "deflate.tif": (lambda seed: bytes_of(seed, "TIFF", compression="tiff_deflate"), EXACT),
    "packbits.tif": (lambda seed: bytes_of(seed, "TIFF", compression="packbits"), EXACT),
    "lossless.webp": (lambda seed: bytes_of(seed, "WEBP", lossless=True), EXACT),
    "upright.png": (exif(1), EXACT),
    "odd-orientation.png": (exif(9), EXACT),
    "progressive.jpg": (lambda seed: bytes_of(seed, "JPEG", progressive=True), USED),
    "lossy.webp": (lambda seed: bytes_of(seed, "WEBP"), USED),
    "trailing.jpg": (lambda seed: bytes_of(seed, "JPEG") + bytes(100), USED),
    "mirrored.png": (exif(2), "turned upright"),
    "text-bomb.png": (png_text_bomb, "a comment of more than 1 MiB, not read"),
    "profile-bomb.png": (png_profile_bomb, "a colour profile of more than 1 MiB, not read"),
    "pixel-bomb.png": (png_pixel_bomb, USED),
    "wrong-sum.png": (png_wrong_sum, "truncated or damaged: the checksum of its chunk 'IHDR'"),
    "far-away.bmp": (bmp_pixels_far_away, "truncated or damaged"),
    "circle.tif": (tiff_circle, EXACT),
    "many-pages.tif": (tiff_many_pages, "several frames"),
    "many-tags.tif": (tiff_many_tags, "truncated or damaged"),
    "full-pages.tif": (tiff_many_full_pages, "several frames or pages"),
    "many-texts.png": (png_many_texts, EXACT),
    "huge.jpg": (jpeg_sides(65_500, 65_500), "too large"),
    "no-height.jpg": (jpeg_sides(12, 0), "truncated or damaged"),
    # JPEG has no checksum and no count of its bytes: what is missing at the end is grey, and nobody can tell.
    "taller.jpg": (jpeg_sides(12, 2000), USED),
    "broken-exif.jpg": (broken_exif, "a damaged EXIF block, not read"),
    "animated.gif": (animated_gif, "a GIF image"),
    "pictures.mpo": (several_pictures, "the first, the primary one, is used"),
    "a-jpeg.bmp": (lambda seed: bytes_of(seed, "JPEG"), "a JPEG file named .bmp"),
    "garbage-first.png": (lambda seed: b"x" + bytes_of(seed, "PNG"), "not an image"),
    "zip.png": (lambda seed: b"PK\x03\x04" + bytes(100), "a ZIP archive"),
    "pdf.jpg": (lambda seed: b"%PDF-1.7\n" + bytes(100), "a PDF file"),
    "photoshop.psd": (lambda seed: b"8BPS" + bytes(100), "a Photoshop document"),
    "heic.heic": (lambda seed: b"\0\0\0\x18ftypheic" + bytes(100), "a HEIC image"),
    "jpeg-2000.jp2": (lambda seed: b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100), "a JPEG 2000 image"),
    "Thumbs.db": (lambda seed: b"\xd0\xcf\x11\xe0" + bytes(100), "left by the operating system"),
    ".DS_Store": (lambda seed: b"\0\0\0\1Bud1" + bytes(100), "left by the operating system"),
    "one-byte.png": (lambda seed: b"\x89", "not an image"),
    "spaces only.png": (lambda seed: b" " * 1000, "a text"),
}
NAMES = [
    "with space.png", " leading space.png", "zürich 細胞 🔬.png", "e\u0301.png", "-rf.png", "--help.png", "$(reboot).png", "100%d.png",
    "#.png", "a,b;c.png", "'quoted'.png", "UPPER.PNG", "two.dots.png", ".hidden.png", "0.png", "\u202egnp.right-to-left.png",
]  # fmt: skip
POSIX_NAMES = [
    "x" * 200 + ".png",
    "new\nline.png",
    "tab\t.png",
    "bell\x07.png",
    "back\\slash.png",
    'double"quote.png',
    "colon:.png",
    "question?.png",
    "star*.png",
]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """(source, expected): every kind of file, and by path what is to be said of it; a seed where its pixels are known."""
    source = tmp_path_factory.mktemp("zoo") / "source"
    folder, expected, known = source / "a", {}, {}
    folder.mkdir(parents=True)
    seed = 1000
    for name, (content, said) in CONTENT.items():
        seed += 1
        (folder / name).write_bytes(content(seed))
        expected[f"a/{name}"] = said
        if said == EXACT:
            known[f"a/{name}"] = seed
    for table in (CONVERTED, LEFT_OUT):
        for name, (write, said) in table.items():
            (folder / "kinds").mkdir(exist_ok=True)
            write(folder / "kinds" / name)
            expected[f"a/kinds/{name}"] = said
    names = NAMES + (POSIX_NAMES if os.name != "nt" else [])
    if sys.platform.startswith("linux"):
        names.append(os.fsdecode(b"broken-\xff.png"))
    for name in names:
        seed += 1
        (folder / name).write_bytes(bytes_of(seed, "PNG"))
        expected[f"a/{name}"], known[f"a/{name}"] = EXACT, seed
    if os.name != "nt":
        expected |= links_and_pipes(folder, source.parent)
    for number in range(6):
        save_image(source / "b" / f"{number}.png", 500 + number)
    save_image(source / "stray.png", 600)
    (source / "README.txt").write_text("x")
    expected |= {"stray.png": "stands in no class folder", "README.txt": "stands in no class folder"}
    return source, expected, known


def links_and_pipes(folder, outside):
    """What a folder can hold besides files; returns what is to be said of each."""
    save_image(outside / "secret.png", 700)
    (outside / "secrets").mkdir()
    save_image(outside / "secrets" / "other.png", 701)
    save_image(folder / "folder.png" / "inside.png", 702)  # a folder with an image's name, and one in it
    (folder / "empty.png").mkdir()
    save_image(folder / ".hidden" / "inside.png", 703)
    (folder / "to-inside.png").symlink_to("with space.png")
    (folder / "to-outside.png").symlink_to(outside / "secret.png")
    (folder / "to-nowhere.png").symlink_to("nothing.png")
    (folder / "circle-1.png").symlink_to("circle-2.png")
    (folder / "circle-2.png").symlink_to("circle-1.png")
    (folder / "itself.png").symlink_to("itself.png")
    (folder / "secrets").symlink_to(outside / "secrets")
    (folder / "up").symlink_to("..")
    (folder / "to-device.png").symlink_to("/dev/zero")
    os.link(folder / "100%d.png", folder / "hard-link.png")
    os.mkfifo(folder / "pipe.png")
    expected = {
        "a/folder.png/inside.png": USED,
        "a/.hidden/": "a hidden folder, not read",
        "a/to-inside.png": USED,
        "a/to-outside.png": "leads out of the source",
        "a/to-nowhere.png": "leads nowhere",
        "a/circle-1.png": "leads nowhere",
        "a/circle-2.png": "leads nowhere",
        "a/itself.png": "leads nowhere",
        "a/secrets": "a link to a folder",
        "a/up": "a link to a folder",
        "a/to-device.png": "leads out of the source",
        "a/hard-link.png": USED,
        "a/pipe.png": "not a regular file",
    }
    here = os.getcwd()
    os.chdir(folder)  # the path of a socket is bounded
    try:
        with socket.socket(socket.AF_UNIX) as plug:
            plug.bind("socket.png")
            expected["a/socket.png"] = "not a regular file"
    finally:
        os.chdir(here)
    if os.geteuid() != 0:  # root may read everything
        save_image(folder / "unreadable.png", 704).chmod(0)
        expected["a/unreadable.png"] = "cannot be opened"
    return expected


@pytest.fixture(scope="module")
def prepared(zoo, tmp_path_factory):
    """The folder made of it, and the summary that was printed; the same pixels twice are kept, many kinds show one picture."""
    out = tmp_path_factory.mktemp("prepared") / "out"
    printed = io.StringIO()
    stdout, sys.stdout = sys.stdout, printed
    try:
        code = main([str(zoo[0]), str(out), "--image-size", str(SIZE), "--keep-duplicates", "--split", "report"])
    finally:
        sys.stdout = stdout
    assert code == 0
    return out, printed.getvalue()


def images_in(folder):
    """By path, the pixels of every image in both splits."""
    found = {}
    for split in ("train", "test"):
        with Dataset(folder, split) as dataset:
            dataset.verify()
            found |= dict(zip(dataset.paths, dataset.read(range(len(dataset))), strict=True))
    return found


def test_there_are_more_than_sixty_kinds(zoo):
    assert len(zoo[1]) > 120


def test_every_file_is_used_or_named_with_the_reason(zoo, prepared):
    manifest, images = read_manifest(prepared[0]), images_in(prepared[0])
    left_out = {remark.path: remark.reason for remark in manifest.left_out}
    altered = {remark.path: remark.reason for remark in manifest.altered}
    wrong = {}
    for path, said in zoo[1].items():
        stored = path.encode("utf-8", "backslashreplace").decode()
        used = stored in images
        remark = altered.get(path) if used else left_out.get(path)
        if said in (USED, EXACT):
            right = used and remark is None
        elif (
            said is None
        ):  # either is right; a picture that is used must have been decoded whole, which `decode` sees to
            right = used or bool(remark)
        else:
            right = remark is not None and said in remark
        if not right:
            wrong[path] = f"expected {said!r}, {'used' if used else 'not used'}: {remark!r}"
    assert not wrong
    everything = {path.encode("utf-8", "backslashreplace").decode() for path in zoo[1]}
    assert {path for path in images if not path.startswith("b/")} <= everything
    assert set(left_out) | set(altered) <= {*zoo[1], "a/empty.png/"}
    assert left_out["a/empty.png/"] == "an empty folder: ignored"


def test_the_good_ones_are_right(zoo, prepared):
    images = images_in(prepared[0])
    for path, seed in zoo[2].items():
        pixels = images[path.encode("utf-8", "backslashreplace").decode()]
        np.testing.assert_array_equal(pixels, pixels_of(seed), err_msg=path)
    assert len(zoo[2]) > 25


def test_the_summary_names_each_and_disturbs_no_terminal(zoo, prepared):
    manifest = read_manifest(prepared[0])
    lines = prepared[1].splitlines()
    for remark in (*manifest.left_out, *manifest.altered):
        assert f"    {printable(remark.path)}" in lines, remark.path
    assert all(character.isprintable() or character == "\n" for character in prepared[1])
    assert "Traceback" not in prepared[1]


def test_secrets_stay_outside(prepared):
    """No pixel of the files that links lead to."""
    images = {pixels.tobytes() for pixels in images_in(prepared[0]).values()}
    for seed in (700, 701, 703):
        assert pixels_of(seed).tobytes() not in images


@pytest.mark.parametrize(
    "content",
    [
        png_text_bomb,
        png_profile_bomb,
        png_pixel_bomb,
        tiff_circle,
        tiff_many_pages,
        tiff_many_tags,
        tiff_many_full_pages,
        png_many_texts,
        jpeg_sides(12, 2000),
    ],
)
def test_bombs_are_cheap(tmp_path, content, run_python):
    """In a process of its own: what one small file takes at most."""
    pytest.importorskip("resource")
    (tmp_path / "a.png").write_bytes(content(1))
    program = f"""
import sys, time, warnings
sys.path.insert(0, {str(Path(__file__).parent)!r})
from peak_memory import peak_memory
from pathlib import Path
from scratchnet.data.images import UnusableImage, decode
warnings.simplefilter("ignore")
before, began = peak_memory(), time.perf_counter()
try:
    decode(Path(sys.argv[1]))
except UnusableImage:
    pass
print(peak_memory() - before, time.perf_counter() - began)
"""
    memory, seconds = map(float, run_python(program, str(tmp_path / "a.png")).split())
    assert memory < 100 * 2**20
    assert seconds < 10


def test_16_bits_take_bounded_memory(tmp_path, run_python):
    """The largest picture: its two halves of a byte a channel, and its values, of two bytes."""
    pytest.importorskip("resource")
    (tmp_path / "a.png").write_bytes(png_16_bits(1))
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from peak_memory import peak_memory
from pathlib import Path
from scratchnet.data.images import decode, decode_deep
from scratchnet.data.window import Window
before = peak_memory()
window = Window.measured(Window.counted(decode_deep(Path(sys.argv[1]))))
assert decode(Path(sys.argv[1]), window).image.size == (4096, 4096)
print(peak_memory() - before)
"""
    assert int(run_python(program, str(tmp_path / "a.png"))) < 500 * 2**20
