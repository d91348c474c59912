"""Reading the small JSON files of a checkpoint's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gpt2xl.errors import ModelError


def first_line(error: BaseException) -> str:
    """What an error of another library says, as it fits into a sentence."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")[:200]


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, line ends as they are; raises `ModelError` where it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}); check the folder's permissions") from None
    except UnicodeDecodeError:
        raise ModelError(f"{path} is no UTF-8 text; download or save the checkpoint again") from None


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; raises `ModelError` for anything else, with the line of the mistake."""
    try:
        value = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ModelError(
            f"{path} is no valid JSON ({error.msg} in line {error.lineno}); download or save the checkpoint again"
        ) from None
    except ValueError as error:  # a whole number of thousands of digits
        raise ModelError(
            f"{path} cannot be read ({first_line(error)}); download or save the checkpoint again"
        ) from None
    except RecursionError:
        raise ModelError(f"{path} is nested too deeply; download or save the checkpoint again") from None
    if not isinstance(value, dict):
        raise ModelError(f"{path} holds no JSON object; download or save the checkpoint again")
    return value


def read_json_if_there(path: Path) -> dict[str, Any]:
    """As `read_json`; an empty object where there is no such file."""
    return read_json(path) if path.is_file() else {}
