"""What the tiny model learns from: a corpus made of rules, and the byte-level BPE trained on it."""
