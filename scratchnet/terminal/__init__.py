"""What a program of ours prints, is asked, and how it ends, on any terminal. It may import errors and version."""
