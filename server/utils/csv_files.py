"""CSV as spreadsheets write and read it: the type by content, and no cell that a spreadsheet would calculate."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime

BOM = "\ufeff"
DELIMITERS = (";", ",", "\t")
# What begins a formula in Excel, LibreOffice or Google Sheets (OWASP, "CSV Injection"), in ASCII and as wide letters.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class NotCsv(ValueError):
    """The sentence says what is wrong with the file."""


def read(content: bytes, *, columns: Mapping[str, Sequence[str]], needed: Sequence[str]) -> "Table":
    """A CSV file in UTF-8, with or without a byte order mark, between ; or , or tabs; the first line names columns.

    `columns`: our name -> other names for it, in any case, with spaces or underscores. Raises NotCsv.
    """
    text = _decode(content)
    first = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    known = {_plain(other): name for name, others in columns.items() for other in (name, *others)}
    try:
        heads = next(reader, [])
    except csv.Error as error:
        raise NotCsv("The first line cannot be read. It has the names of the columns.") from error
    found = [known.get(_plain(head)) for head in heads]
    named = [name for name in found if name]
    if twice := [name for name in named if named.count(name) > 1]:
        raise NotCsv(f"The column {twice[0]} is there twice.")
    if missing := [name for name in needed if name not in named]:
        raise NotCsv(f"The column {missing[0]} is missing. The first line has the names of the columns.")
    ignored = [head.strip() for head, name in zip(heads, found, strict=True) if name is None and head.strip()]
    return Table(text, delimiter, found, ignored)


class Table:
    """The rows of a file, read anew each time that they are asked for. `ignored`: columns of no known name."""

    def __init__(self, text: str, delimiter: str, columns: Sequence[str | None], ignored: Sequence[str]) -> None:
        self._text, self._delimiter, self._columns = text, delimiter, columns
        self.ignored = ignored

    def __iter__(self) -> Iterator[tuple[int, dict[str, str]]]:
        """(number, cells by column) of each row that is not empty; the row below the names is number 2.

        A row with too many cells has them under "". Raises NotCsv.
        """
        reader = csv.reader(io.StringIO(self._text, newline=""), delimiter=self._delimiter, strict=True)
        number = 0
        try:
            for number, cells in enumerate(reader, 1):
                if number == 1 or not any(cell.strip() for cell in cells):
                    continue
                row = {
                    name: without_guard(cell.strip())
                    for name, cell in zip(self._columns, cells, strict=False)
                    if name is not None
                }
                beyond = "".join(cells[len(self._columns) :]).strip()
                yield number, row | ({"": beyond[:50]} if beyond else {})
        except csv.Error as error:
            raise NotCsv(f"Row {number + 1} cannot be read: a quotation mark may be missing.") from error


def _decode(content: bytes) -> str:
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise NotCsv("This is a spreadsheet, not CSV. Save it as “CSV UTF-8” and send that.")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise NotCsv("This file is UTF-16. Save it as “CSV UTF-8” and send that.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotCsv("This file is not UTF-8. Save it as “CSV UTF-8” and send that.") from error
    if not text.strip():
        raise NotCsv("The file is empty.")
    if "\0" in text:
        raise NotCsv("This is not a text file. Save it as “CSV UTF-8” and send that.")
    return text


def _plain(head: str) -> str:
    return " ".join(head.replace("_", " ").replace("-", " ").casefold().split())


def without_guard(cell: str) -> str:
    """A cell as it was before `safe`."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell


def safe(cell: object) -> str:
    """A cell that a spreadsheet shows and never calculates: a formula gets an apostrophe in front."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ", timespec="minutes")
    if isinstance(cell, date):
        return cell.isoformat()
    text = str(cell).replace("\0", "")
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text


def write(rows: Sequence[Sequence[object]], *, begins: bool = False) -> bytes:
    """Rows as CSV (RFC 4180) in UTF-8; what `begins` a file has the mark by which Excel knows UTF-8."""
    out = io.StringIO(newline="")
    if begins:
        out.write(BOM)
    csv.writer(out).writerows([[safe(cell) for cell in row] for row in rows])
    return out.getvalue().encode()
