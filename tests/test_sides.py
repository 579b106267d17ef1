"""What the splits promise, read from the shards on the disk and from the source's files, not from the program's lists."""

import functools
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from small_data import save_image, shards_of

from scratchnet.data import Dataset, read_manifest
from scratchnet.data.scaling import fit_to_square
from scratchnet.errors import ConfigError, DataError
from scratchnet.prepare import AUGMENTATIONS, SAMPLE, Settings, describe, prepare, prepare_folds

SIZE = 8
HONEST = [
    {"split": "subject"},
    {"split": "subject", "test_fraction": 0.4},
    {"split": "subject", "keep_duplicates": True},
    {"split": "fold", "test_fold": 0},
    {"split": "fold"},
    {"split": "fold", "keep_duplicates": True},
    {"split": "prelim"},
]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A C-NMC tree with the traps of the real one: subjects under two names, in two folds and in two sets, and copies."""
    folder = tmp_path_factory.mktemp("cnmc")
    seed = 0
    for label, prefix in (("all", ""), ("hem", "h")):
        for subject in range(12):
            for image in range(1 + (subject * 7) % 5 + (label == "all")):
                seed += 1
                save_image(
                    folder / f"fold_{subject % 3}/{label}/UID_{prefix}{subject}_{image}_1_{label}.png", seed, (12, 12)
                )
    # Subject 0 (fold_0) is subject 20 (fold_2), and 22 (fold_1) is 23 (fold_2), whose cell is turned.
    copy(folder / "fold_0/all/UID_0_0_1_all.png", folder / "fold_2/all/UID_20_1_1_all.bmp")
    save_image(folder / "fold_2/all/UID_20_2_1_all.png", 1000, (12, 12))
    save_image(folder / "fold_1/all/UID_22_1_1_all.png", 1001, (12, 12))
    copy(folder / "fold_1/all/UID_22_1_1_all.png", folder / "fold_2/all/UID_23_1_1_all.png", 6)
    copy(folder / "fold_2/hem/UID_h2_0_1_hem.png", folder / "fold_2/hem/UID_H2_99_1_hem.png")  # twice in one folder
    copy(folder / "fold_1/hem/UID_h4_0_1_hem.png", folder / "fold_1/all/UID_4_99_1_all.png")  # in both classes
    rows = ["Patient_ID,new_names,labels"]
    for number in range(1, 11):
        label, prefix = ("all", "") if number % 3 else ("hem", "H")
        save_image(folder / f"C-NMC_test_prelim_phase_data/{number}.png", 2000 + number, (12, 12))
        rows.append(f"UID_{prefix}{60 + number // 4}_{number}_1_{label}.bmp,{number}.bmp,{int(label == 'all')}")
    copy(folder / "fold_0/all/UID_9_0_1_all.png", folder / "C-NMC_test_prelim_phase_data/11.png")
    rows.append("UID_70_1_1_all.bmp,11.bmp,1")  # subject 70 is subject 9
    (folder / "C-NMC_test_prelim_phase_data_labels.csv").write_text("\n".join(rows), encoding="utf-8")
    return folder


def copy(old, new, which=0):
    pixels = position(np.asarray(Image.open(old)), which)
    Image.fromarray(np.ascontiguousarray(pixels)).save(new)


def position(pixels, which):
    """The symmetries of the square, written out."""
    mirrored = pixels[:, ::-1] if which >= 4 else pixels
    return np.rot90(mirrored, which % 4)


MARKS = {
    "": 0,
    "rot90": 1,
    "rot180": 2,
    "rot270": 3,
    "mirror": 4,
    "mirror-rot90": 5,
    "mirror-rot180": 6,
    "mirror-rot270": 7,
}


def original(path):
    """The file of an image in a shard, and the symmetry that its path names."""
    file, _, mark = path.partition("#")
    return file, MARKS[mark]


def cell(source, path):
    """Something that all positions of a picture have in common."""
    return cell_of_file(source / original(path)[0])


@functools.cache
def cell_of_file(file):
    pixels = np.asarray(Image.open(file))
    return min(position(pixels, which).tobytes() for which in range(8))


@functools.cache
def small(file):
    """12 × 12 to 8 × 8 in the way of the package, which test_scaling.py holds against the definition."""
    return fit_to_square(Image.open(file), SIZE, "pad")


def sides_of(folder):
    names = sorted({path.name.partition("-")[0] for path in folder.glob("*.h5")})
    return {name: shards_of(folder, name) for name in names}


def check_honest(source, sides):
    """No subject and no picture on two sides; nothing but the training side is augmented."""
    names = list(sides)
    for k, one in enumerate(names):
        for other in names[k + 1 :]:
            assert not {image[1] for image in sides[one]} & {image[1] for image in sides[other]}
            assert not {cell(source, image[2]) for image in sides[one]} & {
                cell(source, image[2]) for image in sides[other]
            }
    for name in ("validation", "test"):
        assert not any("#" in path for _, _, path, _ in sides.get(name, []))


def check_pixels_and_labels(source, sides, prelim_labels):
    for images in sides.values():
        for label, _, path, pixels in images:
            file, which = original(path)
            np.testing.assert_array_equal(pixels, position(small(source / file), which), err_msg=path)
            folder = file.split("/")[-2]
            assert label == (("all", "hem").index(folder) if folder in ("all", "hem") else prelim_labels[file])


def prelim_labels(source):
    rows = (source / "C-NMC_test_prelim_phase_data_labels.csv").read_text(encoding="utf-8").splitlines()[1:]
    return {
        f"C-NMC_test_prelim_phase_data/{name.split('.')[0]}.png": int(label == "0")
        for _, name, label in (row.split(",") for row in rows)
    }


def check_everything(source, folder, honest=True):
    sides, manifest = sides_of(folder), read_manifest(folder)
    assert list(manifest.splits) == [name for name in ("train", "validation", "test") if name in sides]
    for name, images in sides.items():
        with Dataset(folder, name) as dataset:
            dataset.verify()
            assert len(dataset) == len(images)
        assert manifest.splits[name].images_per_class == tuple(np.bincount([image[0] for image in images], minlength=2))
        assert set(manifest.splits[name].subjects) == {image[1] for image in images}
    if honest:
        check_honest(source, sides)
        assert manifest.preparation["test_images_of_training_subjects"] == 0
        assert manifest.preparation["test_images_with_a_copy_in_training"] == 0
    check_pixels_and_labels(source, sides, prelim_labels(source))
    # Every file is somewhere: once as it is, or left out with a reason.
    paths = Counter(image[2] for images in sides.values() for image in images)
    assert set(paths.values()) == {1}
    left_out = {remark.path for remark in manifest.left_out}
    files = {path.relative_to(source).as_posix() for path in source.rglob("*.*")}
    plain = {path for path in paths if "#" not in path}
    assert not plain & left_out
    assert {path for path in files - plain if path not in left_out} <= (
        {path for path in files if "prelim" in path.lower()}
    )
    return sides, manifest


@pytest.mark.parametrize("asked", HONEST, ids=str)
@pytest.mark.parametrize(("augment", "validation"), [("none", 0), ("report", 0.25), ("symmetries", 0)])
def test_honest_splits(tmp_path, source, asked, augment, validation):
    settings = Settings(
        image_size=SIZE, shard_size=16, augment_offline=augment, validation_fraction=validation, seed=3, **asked
    )
    manifest = prepare(source, tmp_path / "out", settings)
    sides, read = check_everything(source, tmp_path / "out")
    assert read == manifest
    assert ("validation" in sides) == (validation > 0)
    for images in sides.values():
        assert {image[0] for image in images} == {0, 1}
    classes = np.bincount([image[0] for image in sides["train"]])
    if augment == "report":
        assert classes[0] == classes[1]
    if augment == "symmetries":
        originals = Counter(original(path)[0] for _, _, path, _ in sides["train"])
        assert set(originals.values()) == {8}
    if asked["split"] == "fold":
        fold = f"fold_{asked.get('test_fold', 2)}/"
        assert all(path.startswith(fold) for _, _, path, _ in sides["test"])
        assert not any(path.startswith(fold) for _, _, path, _ in sides["train"])
    if asked["split"] == "prelim":
        assert {path for _, _, path, _ in sides["test"]} == set(prelim_labels(source))
        assert all(path.startswith("fold_") for _, _, path, _ in sides["train"])


def test_the_test_fold_keeps_its_images_and_training_gives_way(tmp_path, source):
    manifest = prepare(source, tmp_path / "out", Settings(image_size=SIZE, split="fold", test_fold=2))
    reasons = {remark.path: remark.reason for remark in manifest.left_out}
    tested = {path for _, _, path, _ in shards_of(tmp_path / "out", "test")}
    assert "fold_2/all/UID_20_1_1_all.bmp" in tested
    assert reasons["fold_0/all/UID_0_0_1_all.png"] == "duplicate: the same image as fold_2/all/UID_20_1_1_all.bmp"
    assert reasons["fold_0/all/UID_0_1_1_all.png"] == "would train, but its subject 0+20 tests"
    assert reasons["fold_1/all/UID_22_1_1_all.png"] == "would train, but its subject 22+23 tests"
    assert ("22", "23") in manifest.merged_subjects


def test_a_training_subject_that_is_a_preliminary_one(tmp_path, source):
    manifest = prepare(source, tmp_path / "out", Settings(image_size=SIZE, split="prelim"))
    assert ("70", "9") in manifest.merged_subjects
    assert not any("_9_" in path for _, _, path, _ in shards_of(tmp_path / "out", "train"))
    assert {subject for _, subject, path, _ in shards_of(tmp_path / "out", "test") if path.endswith("/11.png")} == {
        "70+9"
    }


@pytest.mark.parametrize(("augment", "validation"), [("none", 0), ("report", 0.25), ("symmetries", 0)])
def test_kfold_tests_every_image_exactly_once(tmp_path, source, augment, validation):
    settings = Settings(
        image_size=SIZE, split="kfold", folds=4, augment_offline=augment, validation_fraction=validation
    )
    manifests = prepare_folds(source, tmp_path / "out", settings)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"fold-{k}" for k in range(4)]
    assert len({manifest.dataset_id for manifest in manifests}) == 4
    tested, subjects = Counter(), Counter()
    for k, manifest in enumerate(manifests):
        sides, read = check_everything(source, tmp_path / "out" / f"fold-{k}")
        assert read == manifest
        assert manifest.preparation["fold"] == k
        tested.update(path for _, _, path, _ in sides["test"])
        subjects.update({subject for _, subject, _, _ in sides["test"]})
        assert {image[0] for image in sides["test"]} == {0, 1}
    assert set(tested.values()) == set(subjects.values()) == {1}
    plain = {path for path in tested if "#" not in path}
    assert len(plain) == len(tested) == sum(manifest.splits["test"].images for manifest in manifests)
    for label in (0, 1):
        counts = [manifest.splits["test"].images_per_class[label] for manifest in manifests]
        assert max(counts) - min(counts) <= 3
    text = describe(*manifests)
    for k in range(4):
        assert f"fold {k}" in text


def test_the_reports_split_and_its_leak(tmp_path, source):
    """Copies are divided like all images; the counts are those of the shards."""
    settings = Settings(image_size=SIZE, split="report", augment_offline="report", test_fraction=0.3)
    manifest = prepare(source, tmp_path / "out", settings)
    sides, _ = check_everything(source, tmp_path / "out", honest=False)
    counts = np.bincount([image[0] for images in sides.values() for image in images])
    assert counts[0] == counts[1]
    assert {original(path)[1] for images in sides.values() for _, _, path, _ in images} == {0, 1}
    subjects = {subject for _, subject, _, _ in sides["train"]}
    cells = {cell(source, path) for _, _, path, _ in sides["train"]}
    known = sum(subject in subjects for _, subject, _, _ in sides["test"])
    copies = sum(cell(source, path) in cells for _, _, path, _ in sides["test"])
    assert 0 < copies < known <= len(sides["test"])
    assert manifest.preparation["test_images_of_training_subjects"] == known
    assert manifest.preparation["test_images_with_a_copy_in_training"] == copies
    text = describe(manifest)
    assert f"{known} have their subject in training" in text
    assert f"{copies} have their own picture in training" in text


def test_a_turned_copy_in_a_file_of_its_own_is_a_leak(tmp_path, source):
    """UID_23 is UID_22 turned; some seeds put them on two sides."""
    counted = set()
    for seed in range(6):
        settings = Settings(image_size=SIZE, split="report", test_fraction=0.5, seed=seed)
        manifest = prepare(source, tmp_path / f"{seed}", settings)
        sides = sides_of(tmp_path / f"{seed}")
        cells = {cell(source, path) for _, _, path, _ in sides["train"]}
        copies = sum(cell(source, path) in cells for _, _, path, _ in sides["test"])
        assert manifest.preparation["test_images_with_a_copy_in_training"] == copies
        counted.add(copies)
    assert counted == {0, 1}


@pytest.mark.parametrize("augment", AUGMENTATIONS)
def test_identical_images_stand_on_one_side_of_the_reports_split(tmp_path, source, augment):
    for seed in range(3):
        settings = Settings(
            image_size=SIZE, split="report", augment_offline=augment, keep_duplicates=True, seed=seed,
            validation_fraction=0.2,
        )  # fmt: skip
        prepare(source, tmp_path / f"{seed}", settings)
        sides, _ = check_everything(source, tmp_path / f"{seed}", honest=False)
        for one, other in (("train", "test"), ("train", "validation"), ("test", "validation")):
            assert not {image[3].tobytes() for image in sides[one]} & {image[3].tobytes() for image in sides[other]}


def test_the_counts_of_the_augmentation(tmp_path, source):
    for split, size in (("report", None), ("subject", "train")):
        manifest = prepare(source, tmp_path / split, Settings(image_size=SIZE, split=split, augment_offline="report"))
        counts = manifest.preparation["augmented"]
        kept = [c["images"] - c["left out"] + c["added"] for c in counts.values()]
        sides = [split.images_per_class for name, split in manifest.splits.items() if size in (None, name)]
        assert kept == np.sum(sides, axis=0).tolist()
        reasons = Counter(remark.reason for remark in manifest.left_out)
        assert (
            reasons["left out so that classes are equally large (--augment-offline report)"]
            == counts["all"]["left out"]
        )
        line = f"all: {counts['all']['images']} − {counts['all']['left out']} left out + 0 turned = {kept[0]}"
        assert line in describe(manifest)


@pytest.fixture(scope="module")
def small_sample(tmp_path_factory):
    """The sample, made small once: decoding 260 large images for each split would take most of the time."""
    folder = tmp_path_factory.mktemp("sample")
    for path in SAMPLE.rglob("*.webp"):
        new = (folder / path.relative_to(SAMPLE)).with_suffix(".png")
        new.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).resize((30, 30), Image.Resampling.BOX).save(new)
    return folder


def test_the_sample_through_every_split(tmp_path, small_sample):
    for asked in (*HONEST, {"split": "report", "augment_offline": "report"}):
        name = "-".join(map(str, asked.values()))
        manifest = prepare(small_sample, tmp_path / name, Settings(image_size=SIZE, **asked))
        counts = np.sum([split.images_per_class for split in manifest.splits.values()], axis=0)
        expected = {"report": [140, 140], "prelim": [186, 74]}.get(asked["split"], [176, 70])
        assert counts.tolist() == expected
        subjects = [{subject for _, subject, _, _ in shards_of(tmp_path / name, side)} for side in manifest.splits]
        assert bool(set.intersection(*subjects)) == (asked["split"] == "report")
    folds = prepare_folds(small_sample, tmp_path / "folds", Settings(image_size=SIZE, split="kfold"))
    # One ALL subject has 44 images, more than a fifth: it stands alone, and the rest is divided to the image.
    assert sorted(fold.splits["test"].images_per_class for fold in folds) == [(33, 14)] * 4 + [(44, 14)]


def test_sides_that_cannot_be_had(tmp_path, source):
    with pytest.raises(
        DataError, match=r"The test side .* no image of class 'all' .* The source holds fold_0, fold_1, fold_2;"
    ):
        prepare(source, tmp_path / "out", Settings(split="fold", test_fold=7))
    with pytest.raises(DataError, match=r"Class 'all' has 13 distinct subjects, too few for each of 20 folds.*--folds"):
        prepare_folds(source, tmp_path / "out", Settings(split="kfold", folds=20))
    with pytest.raises(DataError, match="too few for the validation side"):
        prepare(one_subject_left(tmp_path), tmp_path / "out", Settings(validation_fraction=0.1, test_fraction=0.4))
    with pytest.raises(ConfigError, match="prepare_folds"):
        prepare(source, tmp_path / "out", Settings(split="kfold"))
    with pytest.raises(ConfigError, match="call prepare"):
        prepare_folds(source, tmp_path / "out", Settings())
    assert [path.name for path in tmp_path.iterdir()] == ["two subjects a class"]


def test_training_may_lose_its_last_subject_of_a_class(tmp_path):
    for k, name in enumerate(("fold_0/all/UID_1", "fold_0/hem/UID_H1", "fold_1/all/UID_2", "fold_1/hem/UID_H2")):
        save_image(tmp_path / "source" / f"{name}_1_1_{name[7:10]}.png", k)
        save_image(tmp_path / "source" / f"{name}_2_1_{name[7:10]}.png", 10 if "hem" in name else 20 + k)  # H1 is H2
    with pytest.raises(DataError, match=r"The training side of --split fold has no image of class 'hem'"):
        prepare(tmp_path / "source", tmp_path / "out", Settings(split="fold", test_fold=1))


def one_subject_left(folder):
    for k in range(2):
        for label, prefix in (("all", ""), ("hem", "H")):
            save_image(
                folder / f"two subjects a class/fold_0/{label}/UID_{prefix}{k}_1_1_{label}.png", 2 * k + len(prefix)
            )
    return folder / "two subjects a class"


def test_cropping_is_recorded_and_done(tmp_path):
    for k in range(6):
        image = Image.new("RGB", (60, 60))
        image.paste((200, 100, 10 * k + 1), (20, 20, 40, 40))
        path = tmp_path / "source" / ("a" if k % 2 else "b") / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    manifest = prepare(tmp_path / "source", tmp_path / "out", Settings(image_size=24, crop=True, test_fraction=0.4))
    assert manifest.preprocessing["crop"] == {"brighter_than": 8, "margin": 0.1}
    for *_, pixels in shards_of(tmp_path / "out", "train"):
        assert (pixels[2:-2, 2:-2, 0] == 200).all()
        assert not pixels[:2].any()
