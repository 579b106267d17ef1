"""Trees as well-known sets come in: what is the class is recognised, or refused with the tree."""

import re

import pytest

from scratchnet.errors import DataError
from scratchnet.prepare.sources import find_images
from tests.file_systems import require_case


def plant(root, *paths, content=None):
    """Files of different content, unless it is given. "{a,b}" in a path stands for each of them."""
    for path in paths:
        choice = re.search(r"\{([^}]*)\}", path)
        if choice:
            plant(root, *(path.replace(choice[0], one, 1) for one in choice[1].split(",")), content=content)
        else:
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content or path, encoding="utf-8")
    return root


def understood(root, **options):
    """The layout, the classes, and how many images there are."""
    found = find_images(root, **options)
    return found.layout, found.class_names, len(found.images)


def reasons(found):
    return {remark.path: remark.reason for remark in found.left_out}


KNOWN = {
    "Kaggle's blood cells": ("{TRAIN,TEST,TEST_SIMPLE}/{EOS,MONO}/{1,2}.png", "{split}/{class}", ("EOS", "MONO"), 12),
    "chest x-rays, wrapped": ("chest/{train,val,test}/{A,B}/{1,2}.jpg", "*/{split}/{class}", ("A", "B"), 12),
    "Intel's scenes": ("{seg_train,seg_test}/{sea,wood}/{1,2}.jpg", "{split}/{class}", ("sea", "wood"), 8),
    "sides wrapped once more": ("{train,valid}/images/{A,B}/1.png", "{split}/*/{class}", ("A", "B"), 4),
    "sides below the classes": ("{A,B}/{train,test}/1.png", "{class}/{split}", ("A", "B"), 4),
    "invasive carcinoma": ("{10253,10254,9}/{0,1}/{1,2}.png", "{subject}/{class}", ("0", "1"), 12),
    "patients first": ("{P01,P02,P03}/{all,hem}/1.png", "{subject}/{class}", ("all", "hem"), 6),
    "sides, patients, classes": (
        "{train,test}/{P1,P2}/{all,hem}/1.png",
        "{split}/{subject}/{class}",
        ("all", "hem"),
        8,
    ),
    "patients below the classes": ("{all,hem}/{P01,P02}/{1,2}.png", "{class}/{subject}", ("all", "hem"), 8),
    "others' patients below": ("all/{P01,P02}/1.png hem/{P03,P04}/1.png", "{class}/{subject}", ("all", "hem"), 4),
    "numbered classes": ("{0,1}/{101,102,103,104}/1.png", "{class}/{subject}", ("0", "1"), 8),
    "magnifications first": ("{40X,100X,400X}/{benign,malignant}/1.png", "*/{class}", ("benign", "malignant"), 6),
    "magnifications below": ("{benign,malignant}/{40X,100X}/1.png", "{class}", ("benign", "malignant"), 4),
    "BreakHis": (
        "BreaKHis_v1/histology_slides/breast/benign/SOB/{adenosis,tubular}/SOB_B_{A_14-22549AB,T_14-1}/{40X,100X}/1.png "
        "BreaKHis_v1/histology_slides/breast/malignant/SOB/ductal/SOB_M_DC_14-{10926,2523}/{40X,100X}/1.png",
        "*/*/*/{class}/*/*/{subject}",
        ("benign", "malignant"),
        12,
    ),
    "folds that are no C-NMC": ("{fold1,fold2}/{A,B}/1.png", "*/{class}", ("A", "B"), 4),
    "eyes": ("{left,right}/{healthy,sick}/1.png", "*/{class}", ("healthy", "sick"), 4),
    "packed classes": ("{A,B}/images/{1,2}.png", "{class}", ("A", "B"), 4),
    "Intel's scenes, as packed": (
        "{seg_train/seg_train,seg_test/seg_test}/{sea,ice}/{1,2}.jpg seg_pred/seg_pred/{1,2,3}.jpg",
        "{split}/*/{class}",
        ("ice", "sea"),
        8,
    ),
    "a test of the side's name, without labels": (
        "train/train/{cat,dog}/1.jpg test/test/{1,2}.jpg",
        "{split}/*/{class}",
        ("cat", "dog"),
        2,
    ),
    "unlabelled images beside sides": (
        "{train,test}/{A,B}/1.png unlabelled/{1,2}.png",
        "{split}/{class}",
        ("A", "B"),
        4,
    ),
    "sides A and B": ("{TrainData,TestA,TestB}/{A,B}/1.png", "{split}/{class}", ("A", "B"), 6),
    "grades": ("{grade1,grade2,grade3}/1.png", "{class}", ("grade1", "grade2", "grade3"), 3),
    "letters with numbers": ("{C0,C1}/1.png", "{class}", ("C0", "C1"), 2),
    "leukaemias by their number": ("{L1,L2,L3}/1.png", "{class}", ("L1", "L2", "L3"), 3),
    "padded numbers": ("{00000,00001,00002}/1.png", "{class}", ("00000", "00001", "00002"), 3),
    "classes in days": ("{all,hem}/{day1,day2}/1.png", "{class}", ("all", "hem"), 4),
    "packed classes with two digits": ("{C10,C20}/images/1.png", "{class}", ("C10", "C20"), 2),
    "one folder in each class": ("{im_A/im_A,im_B/im_B}/CROPPED/1.png", "{class}", ("im_A", "im_B"), 2),
    "a wrapper in a wrapper": ("a/b/c/{A,B}/1.png", "*/*/*/{class}", ("A", "B"), 2),
    "training alone": ("train/{A,B}/1.png", "*/{class}", ("A", "B"), 2),
    "names of classes in two cases": (
        "train/{Cat,Dog}/1.png test/{cat,dog}/1.png",
        "{split}/{class}",
        ("cat", "dog"),
        4,
    ),
    "many classes": ("{n01440764,n01443537,n01484850}/1.png", "{class}", ("n01440764", "n01443537", "n01484850"), 3),
}


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_certain_is_recognised(tmp_path, name):
    trees, layout, classes, count = KNOWN[name]
    found = understood(plant(tmp_path, *trees.split()))
    assert found == (layout, classes, count)


def test_subjects_of_folders(tmp_path):
    found = find_images(plant(tmp_path, "{P1,P2}/{all,hem}/1.png"))
    assert [(image.label, image.subject) for image in found.images] == [(0, "P1"), (1, "P1"), (0, "P2"), (1, "P2")]
    found = find_images(tmp_path, subject_pattern=r"P(\d)/")
    assert [image.subject for image in found.images] == ["1", "1", "2", "2"]


def test_sides_of_folders(tmp_path):
    found = find_images(plant(tmp_path, "{TRAIN,TEST,TEST_SIMPLE,val}/{a,b}/1.png"))
    assert found.sides == {"TRAIN": "train", "TEST": "test", "TEST_SIMPLE": "test", "val": "validation"}
    assert sorted({(image.path.split("/")[0], image.part) for image in found.images}) == sorted(found.sides.items())


def test_where_only_validation_is_beside_training_it_tests(tmp_path):
    found = find_images(plant(tmp_path, "{train,valid}/{a,b}/1.png"))
    assert found.sides == {"train": "train", "valid": "test"}


def test_a_test_side_without_labels_is_left_out(tmp_path):
    found = find_images(plant(tmp_path, "train/{a,b}/{1,2}.png", "test/{1,2,3}.png"))
    assert (found.layout, len(found.images)) == ("{split}/{class}", 4)
    assert reasons(found) == {"test/": "3 files, not in a folder of a class ({split}/{class})"}


UNCLEAR = {
    "two levels of words": (
        "{clinic,ward}/{benign,malignant}/1.png",
        "hold folders of the same names",
        '--layout "*/{class}"',
    ),
    "the same, wrapped": (
        "x/{clinic,ward}/{benign,malignant}/1.png",
        "which of them",
        '--layout "*/{class}" for the former',
    ),
    "original and augmented": (
        "{Original,Augmented}/{A,B}/1.png",
        "hold folders of the same names",
        'Choose one: --layout "Original/{class}"',
    ),
    "colours": ("{color,grayscale}/{A,B}/1.png", "versions of the same pictures", '"color/{class}"'),
    "augmented beside": ("x/{cells,cells_aug}/{A,B}/1.png", "a picture and its copy", '"*/cells/{class}"'),
    "versions of images alone": ("{Original,Augmented}/1.png", "look like versions", '"{class}"'),
    "versions below the classes": ("{A,B}/{original,augmented}/1.png", "look like versions", '"{class}/original"'),
    "folds alone": ("{fold1,fold2,fold3}/1.png", "look like folds, and no folders tell the classes", '"{class}"'),
    "magnifications alone": ("x/{40X,100X}/1.png", "look like magnifications", '"*/{class}"'),
    "magnifications of patients": ("{40X,100X}/{P01,P02}/1.png", "look like magnifications", '"{class}"'),
    "eyes alone": ("{left,right}/1.png", "look like the sides of a body", '"{class}"'),
    "parts": ("{HAM_part_1,HAM_part_2}/1.jpg", "look like parts of a set", '"{class}"'),
    "parts of other folders": ("{part1/a,part2/b}/1.png", "look like parts of a set", '"{class}"'),
    "years": ("{2019,2020,2021}/1.png", "look like parts of a set", '"{class}"'),
    "few patients alone": ("{patient_1,patient_2}/1.png", "look like subjects", '"{class}"'),
    "numbers of patients alone": ("{10253,10254,8863}/1.png", "look like subjects", '"{class}"'),
    "sides of pairs": ("{trainA,trainB,testA,testB}/1.png", "name sides, and hold images without", ""),
    "other folders beside sides": (
        "{train,test,extra}/{A,B}/1.png extra/{C,D,E}/1.png",
        "'extra' beside them does not",
        '"{split}/{class}"',
    ),
    "sides and documents": ("{train,test}/{A,B}/1.png docs/1.png", "'docs' beside them", '"{split}/{class}"'),
    "sides wrapped unevenly": ("{train,test/test}/{A,B}/1.png", "some hold a folder of their own name", ""),
    "two sets": ("{NCT-CRC-HE-100K,CRC-VAL-HE-7K}/{ADI,TUM,STR}/1.png", "which of them", '"*/{class}"'),
    "three that may be patients": (
        "{AB12,CD13,XY7}/{all,hem}/1.png",
        "which of them",
        '"{subject}/{class}" if the former',
    ),
    "numbered classes below words": ("{clinic,ward}/{C10,C20}/1.png", "which of them", '"*/{class}"'),
    "subtypes in organs": (
        "colon_set/{colon_aca,colon_n}/1.png lung_set/{lung_aca,lung_n,lung_scc}/1.png",
        "hold others",
        '"*/{class}" for the latter',
    ),
    "two spellings": ("{ALL,all,hem}/1.png", "ALL and all lie beside each other", '"{class}"'),
    "uneven": (
        "sick/{1,2}.png well/P1/1.png",
        "some folders hold images themselves (sick), others only",
        '--layout "{class}"',
    ),
    "sides of images": ("{train,test}/{1,2}.png", "name sides, and hold images without folders of classes", ""),
    "other folders in the test": ("train/{A,B}/1.png test/images/1.png", "'test' holds none of the folders", ""),
    "sides in folds": (
        "{fold1,fold2}/{train,test}/{A,B}/1.png",
        "trains in one and tests in another",
        '"fold1/{split}/{class}"',
    ),
    "patients alone": ("{P01,P02,P03,P04,P05}/1.png", "look like subjects", '--layout "{class}"'),
    "a copy that is none": ("{A,B}/1.png inner/{A,B}/2.png", "is not a copy of them", "Keep one of the two"),
    "classes in classes": ("{A,B}/1.png A/B/2.png", "beside and inside one another: B", ""),
}


@pytest.mark.parametrize("name", UNCLEAR)
def test_what_is_not_certain_is_refused_with_the_tree(tmp_path, name):
    trees, why, option = UNCLEAR[name]
    if name == "two spellings":
        require_case(tmp_path)
    with pytest.raises(DataError) as error:
        find_images(plant(tmp_path, *trees.split()))
    said = str(error.value)
    assert why in said
    assert option in said
    assert "\n" not in said
    assert "--split report" not in said
    (drawing,) = error.value.__notes__
    assert drawing.startswith(f"{tmp_path.name}/")
    assert all(re.search(r"/ +\d+( images)?$|\(directly in it: \d+\)$", line) for line in drawing.splitlines())


@pytest.mark.parametrize(
    ("layout", "classes"),
    [
        ("*/{class}", ("benign", "malignant")),
        ("{class}", ("clinic", "ward")),
        ("ward/{class}", ("benign", "malignant")),
    ],
)
def test_what_was_refused_can_be_said(tmp_path, layout, classes):
    plant(tmp_path, "{clinic,ward}/{benign,malignant}/1.png")
    found = find_images(tmp_path, layout=layout)
    assert (found.layout, found.class_names) == (layout, classes)
    assert len(found.images) == (2 if layout.startswith("ward") else 4)


def test_what_is_left_out_beside_sides_is_named(tmp_path):
    plant(tmp_path, "{seg_train/seg_train,seg_test/seg_test}/{sea,ice}/1.jpg", "seg_pred/seg_pred/{1,2}.jpg")
    found = find_images(tmp_path)
    assert found.sides == {"seg_train": "train", "seg_test": "test"}
    assert reasons(found) == {"seg_pred/seg_pred/": "2 files, not in a folder of a class ({split}/*/{class})"}
    plant(tmp_path / "b", "{train,test}/{sea,ice}/1.jpg", "docs/old/1.jpg")
    found = find_images(tmp_path / "b", layout="{split}/{class}")
    assert (found.class_names, len(found.images)) == (("ice", "sea"), 4)
    assert list(reasons(found)) == ["docs/old/"]


@pytest.mark.parametrize("names", ["{fold1,fold2}", "{Original,Augmented}", "{patient_1,patient_2}", "{trainA,testA}"])
def test_whatever_the_folders_are_called_the_layout_makes_them_classes(tmp_path, names):
    assert len(find_images(plant(tmp_path, names + "/{1,2}.png"), layout="{class}").class_names) == 2


def test_two_spellings_are_one_class_if_that_is_said(tmp_path):
    require_case(tmp_path)
    plant(tmp_path, "{ALL,all,hem}/1.png")
    assert understood(tmp_path, layout="{class}") == ("{class}", ("ALL", "hem"), 3)


def test_a_layout_may_begin_below_the_wrapper(tmp_path):
    plant(tmp_path, "archive/{clinic,ward}/{benign,malignant}/1.png")
    assert understood(tmp_path, layout="clinic/{class}") == ("*/clinic/{class}", ("benign", "malignant"), 2)
    with pytest.raises(DataError, match=r"fits no image, e\.g\. not 'archive/clinic/benign/1\.png'"):
        find_images(tmp_path, layout="nowhere/{class}")


def test_an_archive_in_itself_is_used_once(tmp_path):
    source = tmp_path / "cell_images"
    for folder in ("", "cell_images/"):
        for name in ("A/1", "A/2", "B/1"):
            plant(source, f"{folder}{name}.png", content=name)
    for start, inner in ((source, "cell_images/"), (tmp_path, "cell_images/cell_images/")):
        found = find_images(start)
        assert (found.class_names, len(found.images)) == (("A", "B"), 3)
        assert reasons(found) == {inner: "3 images, the same as beside it: one copy is used"}
    (source / "cell_images/A/2.png").write_text("another", encoding="utf-8")
    with pytest.raises(DataError, match=r"is not a copy of them: 'cell_images/A/2.png' is not there, or differs"):
        find_images(source)


def test_an_archive_unpacked_twice_is_used_once(tmp_path):
    for folder in ("cells", "cells (1)"):
        for name in ("A/1", "A/2", "B/1"):
            plant(tmp_path, f"{folder}/{name}.png", content=name)
    found = find_images(tmp_path)
    assert (found.class_names, len(found.images)) == (("A", "B"), 3)
    assert reasons(found) == {"cells (1)/": "3 images, the same as beside it: one copy is used"}


def test_classes_whose_images_are_the_same_are_not_taken_for_copies(tmp_path):
    plant(tmp_path, "{all,hem}/{P01,P02}/1.png", content="x")
    assert understood(tmp_path)[1] == ("all", "hem")


def test_folders_without_images_are_named_and_ignored(tmp_path):
    plant(tmp_path, "{A,B}/1.png", "notes/readme.txt", "notes/more/a.csv", "list.csv")
    (tmp_path / "empty").mkdir()
    found = find_images(tmp_path)
    assert found.class_names == ("A", "B")
    assert reasons(found) == {
        "notes/": "2 files, none of them an image: ignored",
        "list.csv": "stands in no class folder",
        "empty/": "an empty folder: ignored",
    }


def test_a_folder_of_pictures_that_are_not_read_is_a_class_all_the_same(tmp_path):
    plant(tmp_path, "A/1.png", "B/1.gif")
    (tmp_path / "C").mkdir()
    (tmp_path / "C" / "no extension").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert find_images(tmp_path).class_names == ("A", "B", "C")


def test_archives_in_the_folder_are_named(tmp_path):
    for name in ("all.zip", "hem.zip"):
        (tmp_path / name).write_bytes(b"PK\x05\x06" + bytes(18))
    with pytest.raises(DataError, match=r"no folder with images.*2 archives \(all\.zip, hem\.zip\): unpack each"):
        find_images(tmp_path)
    (tmp_path / "hem.zip").rename(tmp_path / "all.zip")
    plant(tmp_path, "hem/1.png")
    with pytest.raises(DataError, match=r"one folder with images \(hem\).*1 archive \(all\.zip\): unpack"):
        find_images(tmp_path)


def test_what_systems_leave_is_nobody_s_data(tmp_path):
    plant(tmp_path, "{A,B}/1.png", "A/Thumbs.db", "B/.DS_Store", "desktop.ini", "A/._1.png")
    plant(tmp_path, "__MACOSX/A/1.png", ".ipynb_checkpoints/1.png", "A/.ipynb_checkpoints/1-checkpoint.png")
    found = find_images(tmp_path)
    assert (found.class_names, len(found.images)) == (("A", "B"), 2)
    assert {reason for path, reason in reasons(found).items() if not path.endswith("/")} == {
        "left by the operating system, not an image"
    }
    assert sum(path.endswith("/") for path in reasons(found)) == 3


def test_known_classes_tell_the_level_and_their_folders_the_subjects(tmp_path):
    plant(tmp_path / "all", "all/{P01,P02}/{1,2}.png", "all/P01/1_mask.png")
    found = find_images(tmp_path / "all", known=("all", "hem"))
    assert [(image.path, image.label, image.subject) for image in found.images] == [
        (f"all/{subject}/{k}.png", 0, subject) for subject in ("P01", "P02") for k in (1, 2)
    ]
    plant(tmp_path / "two", "{clinic,ward}/{benign,malignant}/1.png")
    found = find_images(tmp_path / "two", known=("Malignant", "benign"))
    assert [image.label for image in found.images] == [1, 0, 1, 0]


def test_a_large_tree_is_drawn_short(tmp_path):
    plant(tmp_path, *(f"{folder}{k}/{name}/1.png" for folder in "ab" for k in "qrstuvwxyz" for name in ("x", "y", "z")))
    with pytest.raises(DataError) as error:
        find_images(tmp_path)
    (drawing,) = error.value.__notes__
    assert len(drawing.splitlines()) <= 25
    assert "... 16 more folders" in drawing
    assert drawing.count("x/") == 4
