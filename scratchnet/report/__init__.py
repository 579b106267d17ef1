"""What came of a run, for people: one page, and runs side by side.

`results` reads a run's folder, `page` writes it down as HTML, `comparison` sets several beside each other. The front
doors are `python -m scratchnet report` and `python -m scratchnet compare`.
"""

from scratchnet.report.comparison import Comparison
from scratchnet.report.page import report_page
from scratchnet.report.results import Results

__all__ = ["Comparison", "Results", "report_page"]
