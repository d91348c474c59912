"""What a person sees: openpyxl's shell (styles, widths, panes, links, charts, names) and the cells' blocks for a plan.

What lives here: appearance. It writes no formula and computes no number.
"""

from gpt2xl.surface.shell import Surface

__all__ = ["Surface"]
