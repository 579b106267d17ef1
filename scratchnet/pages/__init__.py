"""The results of a run, for people: one page, and runs side by side.

`results` reads a run's folder, `page` writes it as HTML, `comparison` sets several beside each other; `explained` shows
what a network does to one image, whose layers `steps` describes. The commands are `report`, `compare` and `explain --page`.
In the code the 2019 report is `paper`, and a page about a run is `page`. It may import use, training, drawing, measures,
data, nn, storage, terminal, and the top of scratchnet.
"""

from scratchnet.pages.comparison import Comparison
from scratchnet.pages.explained import explained_page
from scratchnet.pages.page import report_page
from scratchnet.pages.results import Results

__all__ = ["Comparison", "Results", "explained_page", "report_page"]
