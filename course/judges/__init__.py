"""The judges: what each exercise's function must do, and what is said where it doesn't.

It may import scratchnet and course.exercises.
"""
