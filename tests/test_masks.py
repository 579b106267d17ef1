"""Masks and annotations that lie among the images."""

import numpy as np
import pytest
from PIL import Image

from scratchnet.errors import DataError
from scratchnet.prepare.masks import find_masks
from scratchnet.prepare.sources import find_images


@pytest.mark.parametrize(
    "mask",
    ["x_mask", "x_Mask", "x-mask", "x.mask", "x mask", "x_seg", "x_segmentation", "x_label", "x_labels", "x_annotation", "x_gt",
     "x_cp_masks", "x_lesion", "x_superpixels", "xMask", "mask_x", "seg x", "x_nuclei_mask",
     "x_mask_1", "x_ground_truth", "x_groundtruth", "x_overlay", "X_MASK", "x_annotated"],
)  # fmt: skip
def test_a_mask_beside_its_image(mask):
    assert set(find_masks(["all/x.png", f"all/{mask}.png", "all/y.png"])) == {f"all/{mask}.png"}
    assert set(find_masks(["all/x.jpg", f"all/{mask}.tif"])) == {f"all/{mask}.tif"}


@pytest.mark.parametrize("name", ["x_masked2man", "x_2", "x_left", "mask", "xmask", "x_segment7b", "damask"])
def test_other_names_are_images(name):
    assert find_masks(["all/x.png", f"all/{name}.png"]) == {}


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("x_img", "x_mask"),
        ("x_image", "x_mask"),
        ("img_1", "mask_1"),
        ("x-raw", "x-seg"),
        ("image 7", "label 7"),
        ("img", "imgMask"),
    ],
)
def test_both_may_say_what_they_are(image, mask):
    assert set(find_masks([f"all/{image}.png", f"all/{mask}.png", "all/other_image.png"])) == {f"all/{mask}.png"}


def test_a_letter_is_a_mask_only_where_every_image_has_one():
    herlev = [f"a/{k}-{k}-00{k}{end}.bmp" for k in range(3) for end in ("", "-d")]
    assert set(find_masks(herlev)) == {path for path in herlev if "-d" in path}
    assert find_masks([*herlev, *(f"a/{k}.bmp" for k in range(9))]) == {}


def picture(path, kind, seed):
    """A cell: "scene"; "mask", its outline filled; "ids", many cells numbered; "cut", the scene on black; "contour", drawn upon."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(60, 250, (48, 48, 3), dtype=np.uint8)
    disk = np.hypot(*(np.mgrid[:48, :48] - 24)) < 15
    if kind == "mask":
        pixels = np.where(disk, 255, 0).astype(np.uint8)
    elif kind == "ids":
        pixels = np.kron(
            rng.permutation(64).reshape(8, 8) * (np.arange(64).reshape(8, 8) % 3 > 0) * 4, np.ones((6, 6))
        ).astype(np.uint8)
    elif kind == "cut":
        pixels[~disk] = 0
    elif kind == "contour":
        pixels[disk & (np.hypot(*(np.mgrid[:48, :48] - 24)) > 13)] = (0, 255, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize("folder", ["segmented", "neutrophil_seg", "labelled", "mask", "contour"])
def test_a_class_of_a_mask_s_name_and_with_the_same_file_names_stays(tmp_path, folder):
    for k in range(4):
        for number, name in enumerate((folder, "band", "eos")):
            picture(tmp_path / name / f"{k}.png", "scene", 10 * number + k)
    found = find_images(tmp_path)
    assert (len(found.class_names), len(found.images), found.left_out) == (3, 12, ())


@pytest.mark.parametrize("kind", ["mask", "ids", "cut", "contour", "mask as jpg"])
def test_pixels_say_that_a_folder_holds_masks(tmp_path, kind):
    kind, _, suffix = kind.partition(" as ")
    suffix = suffix or "png"
    for k in range(4):
        picture(tmp_path / "segmented" / f"{k}.{suffix}", kind, k)
        picture(tmp_path / "normal" / f"{k}.png", "scene", k)
        picture(tmp_path / "sick" / f"{10 + k}.png", "scene", 10 + k)
    found = find_images(tmp_path)
    assert found.class_names == ("normal", "sick")
    assert {remark.path for remark in found.left_out} == {f"segmented/{k}.{suffix}" for k in range(4)}
    assert find_images(tmp_path, layout="{class}").class_names == ("normal", "segmented", "sick")


def test_where_pixels_say_nothing_it_is_refused(tmp_path):
    for name in ("segmented", "band", "eos"):
        for k in range(3):
            picture(tmp_path / name / f"{k}.png", "mask", k)
    with pytest.raises(DataError, match=r"'segmented' holds files of the same names as 'band' beside it: .*--layout"):
        find_images(tmp_path)
    assert len(find_images(tmp_path, layout="{class}").images) == 9


def test_without_its_image_beside_it_it_is_one_itself():
    assert find_masks(["all/x_mask.png", "all/y_mask.png", "hem/x.png"]) == {}


@pytest.mark.parametrize(
    "folder", ["masks", "Mask", "labels", "annotations", "GT", "ground_truth", "cell_masks", "segmentation"]
)
def test_a_folder_of_masks(folder):
    beside = [f"all/images/{k}.png" for k in range(4)]
    assert set(find_masks([*beside, *(f"all/{folder}/{k}.png" for k in range(3))])) == {
        f"all/{folder}/{k}.png" for k in range(3)
    }
    assert set(find_masks([*beside, *(f"all/{folder}/{k}_mask.png" for k in range(3))]))
    above = [f"all/{k}.png" for k in range(4)]
    assert set(find_masks([*above, *(f"all/{folder}/{k}.png" for k in range(3))])) == {
        f"all/{folder}/{k}.png" for k in range(3)
    }
    tops = [f"images/all/{k}.png" for k in range(3)]
    assert set(find_masks([*tops, *(f"{folder}/all/{k}.png" for k in range(3))])) == {
        f"{folder}/all/{k}.png" for k in range(3)
    }


def test_a_class_of_such_a_name_is_a_class():
    assert find_masks(["labels/a.png", "labels/b.png", "others/c.png", "others/d.png"]) == {}


def test_they_are_left_out_and_listed(tmp_path):
    for name in ("all/images/1", "all/masks/1", "hem/images/1", "hem/masks/1", "hem/images/1_seg"):
        file = tmp_path / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name, encoding="utf-8")
    found = find_images(tmp_path)
    assert [image.path for image in found.images] == ["all/images/1.png", "hem/images/1.png"]
    assert {remark.path: remark.reason for remark in found.left_out} == {
        "all/masks/1.png": "in a folder of masks or annotations, with the names of all/images/",
        "hem/masks/1.png": "in a folder of masks or annotations, with the names of hem/images/",
        "hem/images/1_seg.png": "named as a mask or annotation of the image beside it",
    }
