"""Cells of plain numbers, written as text and deflated, faster and smaller than by looking for matches.

Nothing lives here but the coder behind `deflate_rows`, in compiled loops; whole parts are compressed by libraries.
"""

from gpt2xl.xlsx.deflate.rows import deflate_rows

__all__ = ["deflate_rows"]
