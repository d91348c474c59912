"""Prompts that people type, and those that trip spreadsheets: all fit the default workbook of the embedded model."""

from __future__ import annotations

# Twenty, the empty-looking and the longest (16 tokens of the embedded model) among them.
TYPED = (
    "The cat sat on the",
    "Anna lost her hat. She",
    "One, two, three,",
    "it's we're I'll don't they'd",
    "It'S  'quoted' ''s",
    " ",
    "   ",
    "\n",
    "two\nlines",
    "tab\there",
    "=1+1",
    "+x",
    "-5",
    "@SUM(A1)",
    "'quoted'",
    "TRUE",
    "1E5",
    "#N/A",
    "  lead and trail  ",
    "The cat sat on the mat. The dog sat on the log. The dog",
)
