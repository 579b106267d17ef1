"""What every command does in a terminal: parsing, printing, ending. It may import errors and version."""
