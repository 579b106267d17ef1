"""The judges: what each exercise's function must do, and what is said where it doesn't.

A judge takes a function and a seed, and returns the first complaint, one line, or "" where the function is right. Judges are
themselves judged: `python -m course prove` gives them the functions of course.wrong and course.right.
It may import scratchnet, course.exercises and course.diagnose.
"""

from course.judges.verdict import Verdict, judge, verdict_on

__all__ = ["Verdict", "judge", "verdict_on"]
