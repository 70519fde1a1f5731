"""Phone numbers as people write them, and as networks do."""

import phonenumbers


def e164(written: str, region: str = "") -> str | None:
    """E.164, such as +12125550100; None when this cannot be a number. `region` (ISO 3166) for one without a country."""
    try:
        number = phonenumbers.parse(written, region or None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
