"""The command line. The only module that imports click; what a user can get wrong ends here with exit status 2."""

from __future__ import annotations

import atexit
import errno
import functools
import gc
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
import numpy as np

from gpt2xl import __version__
from gpt2xl.errors import ExerciseError, Gpt2xlError, printable
from gpt2xl.stopping import leave, stopping_in_order

if TYPE_CHECKING:
    from gpt2xl.outlook import Outlook

BOOK = click.argument("book", type=click.Path(path_type=Path))
_GARBAGE = 1_000_000, 100, 1000  # new objects, then rounds, before each generation is looked at
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")


def plain_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """What a user can put right becomes one sentence on standard error and exit status 2."""

    @functools.wraps(command)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        try:
            with stopping_in_order():
                return command(*arguments, **options)
        except Gpt2xlError as error:
            _refuse(str(error))
        except OSError as error:
            if error.errno not in _FULL or error.filename is not None:
                raise
            # Standard output: what writes files says so itself. What waits to be written goes nowhere.
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), 1)
            _refuse(f"standard output cannot be written: {error.strerror}; make room, or send it elsewhere")
        except KeyboardInterrupt:
            # Not click's 1, which a check gives to a workbook that differs.
            click.echo("gpt2xl: interrupted", err=True)
            leave(128 + signal.SIGINT)
        except SystemExit as end:
            if isinstance(end.code, int) and end.code > 128:  # of a signal
                leave(end.code)
            raise

    return wrapped


def _refuse(sentence: str) -> NoReturn:
    """One line, whatever the names in it hold: line ends and what a terminal would obey are shown as escapes."""
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in sentence)
    click.echo(f"gpt2xl: {shown}", err=True)
    sys.exit(2)


class _Commands(click.Group):
    """Commands that say in one sentence, too, which value of an option is none."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.MissingParameter:
            raise
        except click.BadParameter as error:
            message = error.format_message().removesuffix(".")
            command = error.ctx.command_path if error.ctx else main.name
            _refuse(f"{message[:1].lower()}{message[1:]}; see `{command} --help`")


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gpt2xl")
def main() -> None:
    """GPT-2 as a live spreadsheet: every step from the prompt to the next token is a formula."""
    # Formulas and their plans are many objects that live long: to look at them again and again for garbage takes a
    # fifth of the time.
    gc.freeze()
    gc.set_threshold(*_GARBAGE)
    # Nor need they be looked at when the program ends, for a second or two: the memory goes back as it is.
    atexit.register(gc.freeze)


@main.command()
@click.argument("prompt")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The workbook to write.")
@click.option("--model", default="tiny", show_default=True, help="tiny, a name on the Hugging Face hub, or a folder.")
@click.option("--max-tokens", type=int, help="Tokens the workbook holds.  [default: 16, or the prompt's]")
@click.option("--max-chars", type=int, help="Characters the workbook holds.  [default: 80, or the prompt's]")
@click.option("--generate", default=1, show_default=True, metavar="N", help="Tokens that follow, one after the other.")
@click.option("--vocab", type=int, metavar="K", help="Keep the model's first K tokens only.")
@click.option("--digits", type=int, metavar="D", help="Round parameters to D significant digits, 1 to 17.")
@click.option(
    "--compression",
    type=click.Choice(["fast", "default", "small"]),
    default="default",
    show_default=True,
    help="Time against size of the file.",
)
@click.option("--refs", is_flag=True, help="Write the cell references of large models too, which some programs need.")
@click.option("--loss", is_flag=True, help="The surprise of every token of the prompt, and its perplexity.")
@click.option("--exercise", is_flag=True, help="Leave steps blank for a student, and mark the answers.")
@click.option("--blank", metavar="STEPS", help="Which steps, for instance ln_1,attn.pattern; * stands for anything.")
@click.option("--solution", is_flag=True, help="The key: the same copy with the formulas.")
@click.option("--corrupted", metavar="TEXT", help="A second prompt, to copy rows of the stream to from the first.")
@click.option("--plain", is_flag=True, help="Leave out the sheets, charts and colours for learners.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@click.option("--quiet", is_flag=True, help="Print nothing.")
@plain_errors
def build(prompt: str, output: Path, blank: str | None, quiet: bool, **options: Any) -> None:
    """Write the workbook of a model with PROMPT in its prompt cell."""
    if quiet:
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"  # read when huggingface_hub is first needed
    from gpt2xl.convert import build as convert

    options["blank"] = [name.strip() for name in (blank or "").split(",") if name.strip()]
    if blank is not None and not options["blank"]:
        raise ExerciseError("--blank names no step; give some, such as ln_1,attn.pattern, or leave the option out")
    if quiet:
        convert(prompt, output, **options)
        return
    with _Progress() as shown:
        built = convert(prompt, output, announce=shown.announce, progress=shown.advance, **options)
        shown.finish()
    click.echo(
        f"{built.path}: {built.cells:,} cells, {built.formulas:,} of them formulas, {built.size / 1e6:.1f} MB\n"
        + (
            f"left blank: {', '.join(built.blank)}"
            if built.blank
            else f"{prompt!r} ({len(built.token_ids)} tokens) continues with {built.next_token!r}"
        ),
        err=True,
    )


class _Progress(ExitStack):
    """On standard error: what will be made and, on a terminal, a bar with the time left while it is written."""

    _cells = 0
    _bar: Any = None

    def announce(self, outlook: Outlook) -> None:
        self._cells = outlook.cells
        click.echo(
            f"about {outlook.cells:,} cells, {outlook.formulas:,} of them formulas, in {outlook.size / 1e6:,.1f} MB: "
            f"{outlook.opens_in}",
            err=True,
        )

    def advance(self, cells: int) -> None:
        if not sys.stderr.isatty():
            return
        if self._bar is None:
            self._bar = self.enter_context(click.progressbar(length=self._cells, label="writing", file=sys.stderr))
        self._bar.update(cells)

    def finish(self) -> None:
        if self._bar is not None:
            self._bar.update(self._cells - self._bar.pos)  # what was announced is an estimate


@main.command()
@BOOK
@click.option("--prompt", help="Set the prompt.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set an input, a matrix as [[1,0],[1,1]], one cell as NAME[0,1]=0.",
)
@click.option("--get", "wanted", multiple=True, metavar="NAME", help="Print the values of a name or range.")
@click.option(
    "--explain", "explained", metavar="REF", help="Print a cell's formula, what it reads and its largest terms."
)
@click.option("--top", default=10, show_default=True, type=click.IntRange(min=1), help="How many likely next tokens.")
@JSON
@click.option("--save", type=click.Path(path_type=Path), help="Write the recalculated workbook.")
@plain_errors
def run(
    book: Path,
    prompt: str | None,
    settings: tuple[str, ...],
    wanted: tuple[str, ...],
    explained: str | None,
    top: int,
    as_json: bool,
    save: Path | None,
) -> None:
    """Recalculate a workbook and print the prediction; or, of any workbook, explain a cell."""
    from gpt2xl.answer import is_ours, read_answer, read_values
    from gpt2xl.explain import explain
    from gpt2xl.inputs import set_inputs
    from gpt2xl.workbook import Workbook

    workbook = Workbook.open(book)
    set_inputs(workbook, prompt, settings)
    explanation = None if explained is None else explain(workbook, explained)
    if explanation is not None and (not as_json or not is_ours(workbook)):
        answer: dict[str, Any] = {"values": read_values(workbook, wanted)}
    else:
        answer = read_answer(workbook, top, wanted)
    if save is not None:
        workbook.save(save)
    if as_json:
        _print_json(answer | ({"explain": explanation.as_json()} if explanation else {}))
        return
    if explanation is not None:
        for line in explanation.lines():
            click.echo(line)
        _echo_values(answer["values"])
        return
    click.echo(f"prompt      {answer['prompt']!r}")
    click.echo(f"tokens      {' | '.join(answer['tokens'])}")
    click.echo(f"next token  {answer['next_token']!r} (id {answer['next_token_id']})")
    if len(answer["generated_ids"]) > 1 or answer["generated_end"]:
        click.echo(f"generated   {answer['generated_text']!r} (ids {' '.join(map(str, answer['generated_ids']))})")
    if answer["generated_end"]:
        click.echo(f"            {answer['generated_end']}")
    if answer["next_token_id"] != answer["top"][0]["id"]:
        click.echo("the probabilities before sampling:")
    for entry in answer["top"]:
        click.echo(f"{entry['prob']:9.4%}  {entry['logit']:10.4f}  {entry['id']:6d}  {entry['token']!r}")
    if "unfinished" in answer:
        click.echo(f"a student copy, not the model: {', '.join(answer['unfinished'])} blank or wrong")
    _echo_values(answer["values"])


@main.command()
@BOOK
@click.option("--model", help="The checkpoint.  [default: the one the workbook was made from]")
@click.option("--prompt", "prompts", multiple=True, help="Compare for this prompt; may be repeated.")
@click.option("--engine", type=click.Choice(["python", "libreoffice", "ironcalc"]), default="python", show_default=True)
@click.option("--reference", type=click.Choice(["torch", "numpy"]), default="torch", show_default=True)
@click.option(
    "--tolerance", type=float, default=1e-6, show_default=True, help="Of each step's largest value, at least of 1."
)
@click.option(
    "--timeout",
    type=float,
    default=600,
    show_default=True,
    help="Seconds that another engine may take for one request.",
)
@JSON
@plain_errors
def check(book: Path, prompts: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Compare every step of a workbook with the reference model; exit 1 when one differs."""
    from gpt2xl.verify import check as verify

    verdict = verify(book, prompts=prompts, **options)
    if as_json:
        _print_json(verdict.as_json())
    else:
        for comparison in verdict.prompts:
            click.echo(f"{comparison.prompt!r}: {len(comparison.token_ids)} tokens, engine {verdict.engine}")
            for step in comparison.steps:
                shape = " × ".join(map(str, step.shape))
                word = "OPEN" if step.name in comparison.blank else "ok  " if step.ok else "DIFF"
                moved = "" if step.moved is None else f"  moved {step.moved:.2e}"
                click.echo(f"  {word}  {step.name:28} {shape:>12}  {step.max_abs_diff:.2e}{moved}")
            same = comparison.next_token_id == comparison.reference_next_token_id
            click.echo(
                f"  next token {comparison.next_token_id}, reference {comparison.reference_next_token_id}"
                + ("" if same else "  DIFFERENT")
            )
            if comparison.reference_generated_ids:
                same = comparison.generated_ids == comparison.reference_generated_ids
                click.echo(
                    f"  generated {comparison.generated_ids}, reference {comparison.reference_generated_ids}"
                    + ("" if same else "  DIFFERENT")
                )
            if comparison.unrounded_next_token_id is not None:
                click.echo(f"  next token before rounding {comparison.unrounded_next_token_id}")
            if comparison.first_divergence is not None:
                click.echo(f"  the first step that differs is {comparison.first_divergence}")
            if comparison.blank:
                click.echo(
                    f"  left blank for a student, and all that follows waits for it: {', '.join(comparison.blank)}; "
                    "fill it in, or check the copy that build --solution makes"
                )
        click.echo("all steps agree" if verdict.ok else "the workbook and the reference differ")
    sys.exit(0 if verdict.ok else 1)


@main.command()
@BOOK
@click.option(
    "--tolerance", type=float, default=1e-9, show_default=True, help="How far numbers may differ, of the larger one."
)
@JSON
@plain_errors
def audit(book: Path, tolerance: float, as_json: bool) -> None:
    """Recompute any workbook and compare with the values that it stores; exit 1 when one differs."""
    from gpt2xl.audit import audit as recompute
    from gpt2xl.shown import shown

    found = recompute(book, tolerance)
    if as_json:
        _print_json(found.as_json())
    else:
        click.echo(f"{found.formulas:,} formula cells, {found.compared:,} compared, {found.equal:,} equal")
        for item in found.different:
            click.echo(f"  DIFF  {item.sheet}!{item.ref}  {item.formula}  stored {shown(item.stored)}")
            click.echo(f"        {'':{len(item.sheet + item.ref) + 1}}  computed {shown(item.computed)}")
        for name, count in found.as_json()["unsupported"].items():
            click.echo(f"  not computed: {name} in {count:,}")
        if found.dependent:
            click.echo(f"  not compared: {found.dependent:,} that depend on these")
        if found.without_value:
            click.echo(f"  not compared: {found.without_value:,} for which the file stores no value")
    sys.exit(1 if found.different else 0)


@main.command()
@BOOK
@JSON
@plain_errors
def info(book: Path, as_json: bool) -> None:
    """Say what a workbook holds."""
    from gpt2xl.answer import describe
    from gpt2xl.workbook import Workbook

    facts = describe(Workbook.open(book))
    if as_json:
        _print_json(facts)
        return
    for key, value in facts.items():
        click.echo(f"{key:12} {printable(', '.join(value) if isinstance(value, list) else str(value))}")


def _echo_values(values: dict[str, Any]) -> None:
    for name, value in values.items():
        click.echo(f"{name} = {_shown(value)}")


def _print_json(content: Any) -> None:
    text = json.dumps(content, ensure_ascii=False, default=_plain)
    click.echo(text.encode("utf-8", "backslashreplace").decode())  # half a surrogate pair as JSON's own escape


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return str(value)


def _shown(value: Any) -> str:
    return np.array2string(value, precision=6) if isinstance(value, np.ndarray) else repr(value)
