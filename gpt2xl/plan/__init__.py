"""From templates and a model's configuration to sheets of formulas and names.

What lives here: reading templates, placing steps on sheets, writing their formulas. It computes nothing.
"""
