"""One folder with more than sixty kinds of image files: each is used or named with the reason, and nothing crashes.

The kinds that differ in their content alone come from tests/image_kinds.py; here are the names, the links, and the tricks.
"""

import io
import os
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
from file_systems import has_name, made_pipe
from image_kinds import CONVERTED, LEFT_OUT
from small_data import save_image

from data_prep import main
from faults import tricks
from faults.tricks import bytes_of
from scratchnet.data import Dataset, read_manifest
from scratchnet.prepare import printable

SIZE = 12  # of the prepared images: the files are 12 wide and 10 high, so that nothing is scaled


def pixels_of(seed):
    """What `save_image` writes for this seed, as it should stand in a shard: one black row above and one below."""
    square = np.zeros((SIZE, SIZE, 3), np.uint8)
    square[1:-1] = np.random.default_rng(seed).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    return square


USED, EXACT = "used", "exact"
CONTENT = {
    "top-down.bmp": (tricks.bmp_top_down, EXACT),
    "wrong-length.bmp": (tricks.bmp_wrong_length, EXACT),
    "trailing.png": (tricks.png_interlaced_in_name_only, EXACT),
    "comment.png": (tricks.png_long_comment, EXACT),
    "uncompressed.png": (lambda seed: bytes_of(seed, "PNG", compress_level=0), EXACT),
    "lzw.tif": (lambda seed: bytes_of(seed, "TIFF", compression="tiff_lzw"), EXACT),
    "deflate.tif": (lambda seed: bytes_of(seed, "TIFF", compression="tiff_deflate"), EXACT),
    "packbits.tif": (lambda seed: bytes_of(seed, "TIFF", compression="packbits"), EXACT),
    "lossless.webp": (lambda seed: bytes_of(seed, "WEBP", lossless=True), EXACT),
    "upright.png": (tricks.exif(1), EXACT),
    "odd-orientation.png": (tricks.exif(9), EXACT),
    "progressive.jpg": (lambda seed: bytes_of(seed, "JPEG", progressive=True), USED),
    "lossy.webp": (lambda seed: bytes_of(seed, "WEBP"), USED),
    "trailing.jpg": (lambda seed: bytes_of(seed, "JPEG") + bytes(100), USED),
    "mirrored.png": (tricks.exif(2), "turned upright"),
    "text-bomb.png": (tricks.png_text_bomb, "a comment of more than 1 MiB, not read"),
    "profile-bomb.png": (tricks.png_profile_bomb, "a colour profile of more than 1 MiB, not read"),
    "pixel-bomb.png": (tricks.png_pixel_bomb, USED),
    "wrong-sum.png": (tricks.png_wrong_sum, "truncated or damaged: the checksum of its chunk 'IHDR'"),
    "far-away.bmp": (tricks.bmp_pixels_far_away, "truncated or damaged"),
    "circle.tif": (tricks.tiff_circle, EXACT),
    "many-pages.tif": (tricks.tiff_many_pages, "several frames"),
    "many-tags.tif": (tricks.tiff_many_tags, "truncated or damaged"),
    "full-pages.tif": (tricks.tiff_many_full_pages, "several frames or pages"),
    "many-texts.png": (tricks.png_many_texts, EXACT),
    "huge.jpg": (tricks.jpeg_sides(65_500, 65_500), "too large"),
    "no-height.jpg": (tricks.jpeg_sides(12, 0), "truncated or damaged"),
    # JPEG has no checksum and no count of its bytes: what is missing at the end is grey, and nobody can tell.
    "taller.jpg": (tricks.jpeg_sides(12, 2000), USED),
    "broken-exif.jpg": (tricks.broken_exif, "a damaged EXIF block, not read"),
    "animated.gif": (tricks.animated_gif, "a GIF image"),
    "pictures.mpo": (tricks.several_pictures, "the first, the primary one, is used"),
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
SOME_NAMES = [  # which some file systems have and others not
    "x" * 200 + ".png",
    "new\nline.png",
    "tab\t.png",
    "bell\x07.png",
    "back\\slash.png",
    'double"quote.png',
    "colon:.png",
    "question?.png",
    "star*.png",
    "broken-\udcff.png",  # no text: the byte 0xFF
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
    for name in (name for name in NAMES + SOME_NAMES if has_name(folder, name)):
        seed += 1
        (folder / name).write_bytes(bytes_of(seed, "PNG"))
        expected[f"a/{name}"], known[f"a/{name}"] = EXACT, seed
    if os.name != "nt":
        expected |= links_and_pipes(folder, source.parent)
    for number in range(6):
        save_image(source / "b" / f"{number}.png", 500 + number)
    save_image(source / "stray.png", 600)
    (source / "README.txt").write_text("x", encoding="utf-8")
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
    }
    if made_pipe(folder / "pipe.png"):
        expected["a/pipe.png"] = "not a regular file"
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


BOMBS = [
    tricks.png_text_bomb,
    tricks.png_profile_bomb,
    tricks.png_pixel_bomb,
    tricks.tiff_circle,
    tricks.tiff_many_pages,
    tricks.tiff_many_tags,
    tricks.tiff_many_full_pages,
    tricks.png_many_texts,
    tricks.jpeg_sides(12, 2000),
]


def test_bombs_are_cheap(tmp_path, run_python):
    """One after the other in a process of their own: what small files take at most."""
    pytest.importorskip("resource")
    for number, content in enumerate(BOMBS):
        (tmp_path / f"{number}.png").write_bytes(content(1))
    program = f"""
import sys, time, warnings
sys.path.insert(0, {str(Path(__file__).parent)!r})
from peak_memory import peak_memory
from pathlib import Path
from scratchnet.data.images import UnusableImage, decode
warnings.simplefilter("ignore")
before = peak_memory()
for path in sorted(Path(sys.argv[1]).iterdir()):
    began = time.perf_counter()
    try:
        decode(path)
    except UnusableImage:
        pass
    print(peak_memory() - before, time.perf_counter() - began)
"""
    for bomb, line in zip(BOMBS, run_python(program, str(tmp_path)).splitlines(), strict=True):
        memory, seconds = map(float, line.split())
        assert memory < 100 * 2**20, bomb
        assert seconds < 10, bomb


def test_16_bits_take_bounded_memory(tmp_path, run_python):
    """The largest picture: its two halves of a byte a channel, and its values, of two bytes."""
    pytest.importorskip("resource")
    (tmp_path / "a.png").write_bytes(tricks.png_16_bits(1))
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
