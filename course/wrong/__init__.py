"""Wrong solutions: what students, and frameworks, have really written. Each must be refused, and with the line it has here.

The sum of these is what "right" means in the judges: a judge that is made weaker lets one of them pass, and `python -m course
prove` says which. It may import scratchnet, course.exercises and course.right.
"""

from course.wrong import convolution, first_steps, moving, network, people, products
from course.wrong.solution import Wrong

WRONG: tuple[Wrong, ...] = (
    *first_steps.WRONG, *convolution.WRONG, *network.WRONG, *moving.WRONG, *people.WRONG, *products.WRONG,
)  # fmt: skip
"""All of them."""
