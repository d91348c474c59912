"""Other programs that recompute a workbook: LibreOffice, IronCalc and gnumeric, as witnesses for our own engine.

Each module drives one program and gives values back; none knows GPT-2, and none trusts a value stored in a file.
"""
