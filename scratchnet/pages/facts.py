"""What must be known of a run's data to judge its figures: from the prepared images or, if they are gone, from the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scratchnet.data import Dataset


@dataclass(frozen=True)
class Facts:
    """What is known of the data; None, or an empty table, is unknown.

    class_counts: for each side how many images of each class. shared_subjects: how many stand in training and in test.
    subjects_known: whether anything tells the subject of an image. sample: whether these are the cells that come with
    this program. split: how the sides were divided. copies_in_training: test images that stand in training too, turned,
    mirrored or as they are.
    """

    class_counts: Mapping[str, tuple[int, ...]]
    shared_subjects: int | None = None
    subjects_known: bool | None = None
    sample: bool | None = None
    split: str | None = None
    copies_in_training: int | None = None

    @property
    def new_subjects(self) -> bool:
        """Whether it is known that no test subject was seen in training."""
        return self.subjects_known is True and self.shared_subjects == 0

    @property
    def both_sides(self) -> str:
        """Whether a subject stands on both sides, as far as the subjects are known: a sentence without its full stop."""
        if self.subjects_known is None or self.shared_subjects is None:
            return "Whether a subject stands on both sides of the split cannot be checked any more"
        count = self.shared_subjects
        stand = f"{count:,} subjects stand" if count > 1 else f"{count or 'No'} subject stands"
        return f"{stand} on both sides of the split"

    @classmethod
    def of_images(cls, train: Dataset, test: Dataset) -> Facts:
        """What the prepared images say."""
        manifest = train.manifest
        return cls(
            class_counts={name: tuple(side.images_per_class) for name, side in manifest.splits.items()},
            shared_subjects=len(set(train.subjects) & set(test.subjects)) if manifest.subjects_known else None,
            subjects_known=manifest.subjects_known,
            sample=bool(manifest.preparation.get("sample")),
            split=manifest.preparation.get("split"),
            copies_in_training=manifest.preparation.get("test_images_with_a_copy_in_training"),
        )

    @classmethod
    def of_run(cls, about: Mapping[str, Any]) -> Facts:
        """What a run recorded when it began; runs of older versions recorded nothing.

        >>> Facts.of_run({"facts": {"subjects_known": True, "shared_subjects": 0}}).new_subjects, Facts.of_run({})
        (True, Facts(class_counts={}, shared_subjects=None, subjects_known=None, sample=None, split=None, copies_in_training=None))
        """
        noted = about.get("facts") or {}
        return cls(
            class_counts={side: tuple(counts) for side, counts in (noted.get("class_counts") or {}).items()},
            shared_subjects=noted.get("shared_subjects"),
            subjects_known=noted.get("subjects_known"),
            sample=noted.get("sample"),
            split=noted.get("split"),
            copies_in_training=noted.get("copies_in_training"),
        )
