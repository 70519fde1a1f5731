"""Accounts of staff: who may sign in and as what, invitations, and help for whoever lost their second factor."""

from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from server.admin import words
from server.admin.reading import read_id
from server.errors import DomainError, Invalid
from server.services import staff_accounts
from server.web.identity import current_actor
from server.web.limits import change_sign_in_limit

CHANGES = {"off": "The account is switched off, and signed out everywhere.", "on": "The account is switched on."}


def list_accounts() -> str:
    return _page()


@change_sign_in_limit
def invite_staff() -> Response | tuple[str, int]:
    form = request.form
    try:
        staff_accounts.invite(
            email=form.get("email", ""),
            name=form.get("name", ""),
            role=form.get("role", ""),
            practitioner_id=read_id("practitioner_id"),
            actor=current_actor(),
        )
    except Invalid as refused:
        return _page(refused), refused.status
    return _done("The invitation is on its way. Its link works for seven days.")


@change_sign_in_limit
def invite_again(user_id: UUID) -> Response:
    staff_accounts.invite_again(user_id, actor=current_actor())
    return _done("Another invitation is on its way.")


@change_sign_in_limit
def change_role(user_id: UUID) -> Response:
    staff_accounts.set_role(user_id, request.form.get("role", ""), actor=current_actor())
    return _done("The role is changed, and the account signed out everywhere.")


@change_sign_in_limit
def switch_account(user_id: UUID, to: str) -> Response:
    staff_accounts.set_active(user_id, to == "on", actor=current_actor())
    return _done(CHANGES[to])


@change_sign_in_limit
def reset_second_factor(user_id: UUID) -> Response:
    staff_accounts.reset_second_factor(user_id, actor=current_actor())
    return _done("The second factor is taken away. They are told by letter.")


def _done(sentence: str) -> Response:
    flash(sentence, "success")
    return redirect(url_for("staff_accounts.list_accounts"))


def _page(refused: DomainError | None = None) -> str:
    actor = current_actor()
    return render_template(
        "admin/list_accounts.html",
        accounts=staff_accounts.list_all(actor=actor),
        practitioners=staff_accounts.practitioners_without_account(actor=actor),
        roles=words.ROLES,
        errors=refused.extra["errors"] if refused else {},
        form=request.form,
    )
