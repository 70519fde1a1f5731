"""Messages over REST: another try, a test of a rule, and what a patient wants."""

import pytest
from sqlalchemy import select, update

from server.extensions import db
from server.models import AuditEvent, OutboxMessage
from server.services import reminders
from server.utils import clock
from tests.cast import Cast
from tests.resources.asking import Api, book


def test_dana_has_a_failed_message_tried_again_and_a_repeat_changes_nothing(api_client: Api, cast: Cast) -> None:
    book(api_client, cast)
    message_id = db.session.scalars(select(OutboxMessage.id)).one()
    dana, path = api_client(cast.dana), f"/notifications/{message_id}/retry"
    refused = dana.post(path)
    assert (refused.status_code, refused.json["type"], refused.json["state"]) == (409, "wrong-state", "waiting")
    db.session.execute(update(OutboxMessage).values(outcome="failed", outcome_at=clock.now(), attempts=8))
    db.session.commit()
    first = dana.post(path, headers={"Idempotency-Key": "k"})
    assert (first.status_code, first.json["outcome"], first.json["attempts"]) == (200, None, 0)
    assert dana.post(path, headers={"Idempotency-Key": "k"}).data == first.data
    for person, status in ((cast.ana, 403), (cast.dr_cho, 403), (None, 401)):
        assert api_client(person).post(path).status_code == status


def test_olga_is_sent_a_test_of_a_rule(api_client: Api, cast: Cast) -> None:
    rule = reminders.create_rule({"minutes_before": 1440}, actor=cast.olga.actor)
    path = f"/reminder-rules/{rule.id}/test"
    assert api_client(cast.olga).post(path).status_code == 202
    assert db.session.scalars(select(OutboxMessage.user_id)).all() == [cast.olga.user_id]
    assert api_client(cast.ana).post(path).status_code == 403
    assert api_client(cast.olga).delete(f"/reminder-rules/{rule.id}").status_code == 204
    assert api_client(cast.olga).post(path).status_code == 404


@pytest.mark.parametrize(("who", "status"), [("ana", 200), ("carl", 200), ("dana", 200), ("bea", 404), ("dr_cho", 404)])
def test_what_ana_wants_is_read_by_those_who_may(api_client: Api, cast: Cast, who: str, status: int) -> None:
    path = f"/patients/{cast.ana.patient_id}/reminder-preferences"
    wanted = {"wants_email_reminders": True, "wants_sms_reminders": False, "time_zone": "Asia/Tokyo", "language": "es"}
    assert api_client(cast.ana).request("PUT", path, wanted).status_code == 200
    answer = api_client(getattr(cast, who)).get(path)
    assert answer.status_code == status
    reads = db.session.scalars(select(AuditEvent).where(AuditEvent.action == "patient.preferences-read")).all()
    assert len(reads) == (status == 200)
    if status == 200:
        assert answer.json == wanted
