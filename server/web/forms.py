"""Helpers of forms that more than one door uses."""

from collections.abc import Mapping
from typing import Any

from wtforms import Form


def show_errors(form: Form, errors: Mapping[str, list[str]]) -> None:
    """Put the sentences of an Invalid beside the fields they are about; the rest stands above the form."""
    for name, sentences in errors.items():
        field: Any = form._fields.get(name)
        if field is not None:
            field.errors = [*field.errors, *sentences]
        else:
            form.form_errors = [*form.form_errors, *sentences]
