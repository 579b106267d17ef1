"""Masks and annotations that lie among the images."""

import pytest

from scratchnet.prepare.masks import find_masks
from scratchnet.prepare.sources import find_images


@pytest.mark.parametrize(
    "mask",
    ["x_mask", "x_Mask", "x-mask", "x.mask", "x mask", "x_seg", "x_segmentation", "x_label", "x_labels", "x_annotation", "x_gt",
     "x_mask_1", "x_ground_truth", "x_groundtruth", "x_overlay", "X_MASK", "x_annotated"],
)  # fmt: skip
def test_a_mask_beside_its_image(mask):
    assert set(find_masks(["all/x.png", f"all/{mask}.png", "all/y.png"])) == {f"all/{mask}.png"}
    assert set(find_masks(["all/x.jpg", f"all/{mask}.tif"])) == {f"all/{mask}.tif"}


@pytest.mark.parametrize("name", ["x_masked2man", "x_2", "x_left", "mask", "xmask", "x_segment7b", "damask"])
def test_other_names_are_images(name):
    assert find_masks(["all/x.png", f"all/{name}.png"]) == {}


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
        file.write_text(name)
    found = find_images(tmp_path)
    assert [image.path for image in found.images] == ["all/images/1.png", "hem/images/1.png"]
    assert {remark.path: remark.reason for remark in found.left_out} == {
        "all/masks/1.png": "in a folder of masks or annotations, with the names of all/images/",
        "hem/masks/1.png": "in a folder of masks or annotations, with the names of hem/images/",
        "hem/images/1_seg.png": "named as a mask or annotation of the image beside it",
    }
