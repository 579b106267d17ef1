"""Numbers in words, in the one style of all messages, tables and pages."""


def percent(share: float, digits: int = 1) -> str:
    """A share for people, in the one style of all tables and pages.

    >>> percent(0.714), percent(0.5, digits=0)
    ('71.4 %', '50 %')
    """
    return f"{100 * share:.{digits}f} %"


def counted(number: int, what: str) -> str:
    """A number with its noun.

    >>> counted(1, "epoch"), counted(1200, "epoch")
    ('1 epoch', '1,200 epochs')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"
