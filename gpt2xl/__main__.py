"""`python -m gpt2xl …` is the command `gpt2xl …`."""

from gpt2xl.commands import main

if __name__ == "__main__":
    main(prog_name="gpt2xl")
