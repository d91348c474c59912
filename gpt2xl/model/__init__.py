"""A GPT-2 as it lies on disk: configuration, weights, tokenizer, and the reference that computes it.

Nothing here knows a spreadsheet; imports are `gpt2xl.errors`, `gpt2xl.a1` and outside libraries only.
"""
