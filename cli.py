"""`python cli.py …` from a checkout is the command `gpt2xl …`."""

from gpt2xl.commands import main

if __name__ == "__main__":
    main()
