"""Everybody sees who they are to the clinic, and for whom they may act."""

from sqlalchemy import text

from server.extensions import db
from server.models import User
from tests.cast import Cast
from tests.factories import create_patient, create_proxy
from tests.resources.asking import Api


def test_ana_is_her_own_patient(api_client: Api, cast: Cast) -> None:
    me = api_client(cast.ana).get("/me").json
    assert (me["id"], me["email"], me["name"]) == (str(cast.ana.user_id), "ana@example.com", "Ana Silva")
    assert (me["roles"], me["second_factors"]) == (["patient"], [])
    assert me["patients"] == [
        {"id": str(cast.ana.patient_id), "name": "Ana Silva", "relationship": "self", "may": ["book", "read"]}
    ]


def test_carl_sees_ana_whom_he_may_book_for(api_client: Api, cast: Cast) -> None:
    patients = api_client(cast.carl).get("/me").json["patients"]
    assert patients == [
        {"id": str(cast.ana.patient_id), "name": "Ana Silva", "relationship": "husband", "may": ["book", "read"]}
    ]


def test_carl_sees_no_more_than_was_granted_and_himself_first(api_client: Api, cast: Cast) -> None:
    db.session.execute(text("UPDATE related_persons SET may_book = false"))
    create_patient(user_id=cast.carl.user_id, given_name="Carl", family_name="Silva")
    db.session.commit()
    patients = api_client(cast.carl).get("/me").json["patients"]
    assert [(patient["name"], patient["may"]) for patient in patients] == [
        ("Carl Silva", ["book", "read"]),
        ("Ana Silva", ["read"]),
    ]


def test_a_grant_that_ended_is_gone(api_client: Api, cast: Cast) -> None:
    carl = api_client(cast.carl)
    db.session.execute(text("UPDATE related_persons SET ends_at = statement_timestamp() - interval '1 second'"))
    assert carl.get("/me").json["patients"] == []


def test_two_families_of_one_proxy_are_listed_by_name(api_client: Api, cast: Cast) -> None:
    create_proxy(db.session.get_one(User, cast.carl.user_id), cast.patient(cast.bea))
    db.session.commit()
    assert [patient["name"] for patient in api_client(cast.carl).get("/me").json["patients"]] == [
        "Ana Silva",
        "Bea Torres",
    ]


def test_staff_have_roles_and_no_patients(api_client: Api, cast: Cast) -> None:
    roles = {name: api_client(getattr(cast, name)).get("/me").json for name in ("dr_cho", "dana", "olga")}
    assert {name: me["roles"] for name, me in roles.items()} == {
        "dr_cho": ["practitioner"],
        "dana": ["front-desk"],
        "olga": ["administrator"],
    }
    assert all(me["patients"] == [] for me in roles.values())
