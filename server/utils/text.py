"""Small pure helpers about text."""

import unicodedata


def clean_line(value: str) -> str:
    """One line of a person's text: composed (NFC), without control or direction-changing characters, trimmed."""
    composed = unicodedata.normalize("NFC", value)
    kept = "".join(
        " " if c in "\t\r\n" else c
        for c in composed
        if c in "\t\r\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )
    return " ".join(kept.split())


def clean_text(value: str) -> str:
    """Several lines of a person's text, each cleaned as `clean_line` does."""
    return "\n".join(clean_line(line) for line in value.splitlines()).strip()


def minutes_in_words(minutes: int) -> str:
    """90 -> "1 hour 30 minutes"; 2880 -> "2 days"."""
    parts = []
    for size, word in ((1440, "day"), (60, "hour"), (1, "minute")):
        count, minutes = divmod(minutes, size)
        if count:
            parts.append(f"{count} {word}" + ("s" if count > 1 else ""))
    return " ".join(parts) or "no time"
