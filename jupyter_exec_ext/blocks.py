"""Code blocks: taken out of Markdown, and named by a comment."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from pathlib import PureWindowsPath

from markdown_it import MarkdownIt

from .errors import InvalidRequest, TooLarge, UnknownLanguage
from .languages import LANGUAGES, Language, resolve
from .models import MAX_BLOCKS, CodeBlock

__all__ = ["check_file_name", "extract_markdown", "file_name_of", "guess_language"]

# The first word of an info string: `python title="x"`, `{python}`, `{.python .numberLines}`,
# `{code-cell} python`, `js{1,3}`; also `c++`, `c#` and `objective-c`.
_INFO = re.compile(r"\{code(?:-cell|-block)?\}\s*(?P<cell>[\w+#.-]+)|\{?\s*\.?(?P<word>[\w+#][\w+#.-]*)")
_LANGUAGE_LENGTH = 64
#: In characters; seconds of one processor and 25 MiB of memory for the worst text of that length.
MAX_MARKDOWN = 500_000

# How much of a block without a language is looked at to guess it.
_GUESS_LINES = 50
_GUESS_COLUMNS = 200
_PYTHON = re.compile(
    r"""(?:async\ )?def\ \w+\(|class\ \w+[(:]|from\ [\w.]+\ import\ |import\ [\w., ]+$|@\w+|print\(
    |(?:if|elif|for|while|with|try|else|except|finally)\b.*:\s*(?:\#.*)?$|(?:return|raise|assert|del|await)\ 
    |\w+(?:\.\w+|\[[^\]]*\])*(?:\ [-+*/%]?=\ |\ :=\ )""",  # noqa: W291
    re.VERBOSE,
)
_SHELL = re.compile(
    r"""\$\ |(?:sudo|apt|apt-get|brew|cd|ls|echo|export|source|mkdir|rm|cp|mv|cat|grep|find|chmod|curl|wget
    |git|pip3?|python3?|uv|conda|npm|npx|node|docker|make|tar|touch|which|sed|awk)(?:\ (?!=)|$)
    |(?:if|while)\ (?:\[|test\b).*(?:;\ *(?:then|do)\b|$)|for\ \w+\ in\ .*;\ *do\b
    |[A-Za-z_]\w*=\S|\w+\ *\(\)\ *\{""",
    re.VERBOSE,
)

_COMPONENT_BYTES = 255  # NAME_MAX of every file system in use
_NAME_LENGTH = 300
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    """Return a CommonMark parser for blocks alone, in which four spaces do not hide a fence."""
    parser = MarkdownIt("commonmark").disable(["code", "reference", "lheading"])
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


def extract_markdown(text: str) -> list[CodeBlock]:
    """Take the fenced code blocks out of Markdown, in order.

    Fences are those of CommonMark: three or more backticks or tildes, also in lists and quotes,
    also one that nothing closes. A fence without a language gets a guessed one (Python or a
    shell), or "". The longest text takes seconds: keep long ones off an event loop.

    Raises
    ------
    TooLarge
        Over `MAX_MARKDOWN` characters.
    InvalidRequest
        Over `MAX_BLOCKS` blocks.
    """
    if len(text) > MAX_MARKDOWN:
        raise TooLarge(
            f"The Markdown has {len(text)} characters, over the limit of {MAX_MARKDOWN}; send its blocks.",
            field="markdown",
        )
    fences = [token for token in _parser().parse(text) if token.type == "fence"]
    if len(fences) > MAX_BLOCKS:
        raise InvalidRequest(
            f"The Markdown has {len(fences)} code blocks, over the limit of {MAX_BLOCKS}; send fewer.",
            field="markdown",
        )
    return [_block(token.info, token.content.removesuffix("\n")) for token in fences]


def _block(info: str, code: str) -> CodeBlock:
    match = _INFO.match(info.strip())
    language = (match["cell"] or match["word"])[:_LANGUAGE_LENGTH] if match else guess_language(code)
    return CodeBlock(code=code, language=language)


def guess_language(code: str) -> str:
    """Guess whether that is ``python`` or ``bash``, by how its first lines begin; "" where it is neither."""
    lines = [line[:_GUESS_COLUMNS].strip() for line in code[:10_000].splitlines()[:_GUESS_LINES]]
    if lines and lines[0].startswith("#!"):
        return _of_shebang(lines[0])
    lines = [line for line in lines if line and not line.startswith("#")]
    shell = sum(1 for line in lines if _SHELL.match(line))
    python = sum(1 for line in lines if _PYTHON.match(line))
    if not shell and not python:
        return ""
    return "bash" if shell > python else "python"


def _of_shebang(line: str) -> str:
    program = re.split(r"[/\s]", line.strip())[-1]
    try:
        return resolve(program.rstrip("0123456789."), LANGUAGES).name
    except UnknownLanguage:
        return ""


def file_name_of(block: CodeBlock, language: Language) -> str | None:
    """Return the file name that the block's first comment gives it, relative to the workspace.

    ``# filename: NAME`` (in the language's own comments) always names the file. A comment
    without that word does where all of it is one relative path with a suffix of the language;
    else it is a comment like any other. A first line that begins with ``#!`` is passed over.

    Raises
    ------
    InvalidRequest
        Where the name leads out of the workspace, or cannot be one.
    """
    comment = _comment(_first_line(block.code), language)
    if comment is None:
        return None
    word, colon, name = comment.partition(":")
    if colon and word.strip().lower() == "filename":
        return check_file_name(name.strip()) if name.strip() else None
    if any(character.isspace() for character in comment) or not language.fits(comment):
        return None
    try:
        return check_file_name(comment)
    except InvalidRequest:
        return None


def _first_line(code: str) -> str:
    first, _, rest = code[:10_000].partition("\n")
    return rest.partition("\n")[0] if first.startswith("#!") else first


def _comment(line: str, language: Language) -> str | None:
    """Return what stands in the comment that the whole line is; None where it is none."""
    line = line.strip()
    for opening, closing in language.comments:
        if len(line) < len(opening + closing):
            continue
        if line.lower().startswith(opening) and line.endswith(closing):
            return line[len(opening) : len(line) - len(closing)].strip()
    return None


def check_file_name(name: str) -> str:
    """Return the name with ``/`` between its parts and without ``.`` parts, if it stays in the workspace.

    Raises
    ------
    InvalidRequest
        With what is wrong with it.
    """
    problem = _problem(name)
    if problem:
        shown = "".join(c if c.isprintable() and c not in _BIDI else "\ufffd" for c in name[:80])
        raise InvalidRequest(
            f"The file name {shown!r} {problem}; give a path inside the workspace.", field="code"
        )
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _problem(name: str) -> str | None:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in _BIDI for c in name):
        return "holds a character that cannot be shown"
    if name.startswith(("/", "~")) or PureWindowsPath(name).drive:
        return "is not relative"
    if "\\" in name:
        return "holds a backslash"
    if ".." in parts:
        return "leads upwards"
    if not parts or name.endswith(("/", "/.")):
        return "is that of a folder"
    if len(name) >= _NAME_LENGTH or any(len(part.encode()) > _COMPONENT_BYTES for part in parts):
        return f"is too long (under {_NAME_LENGTH} characters, {_COMPONENT_BYTES} bytes between slashes)"
    return None
