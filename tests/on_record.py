"""What each door leaves on record: one small table, and a witness that looks after every request of the tests.

A door that is not in the table fails tests/bars/test_k_audit.py, and so does one that answers without its event.
"""

from typing import Any

from flask import Flask, Response, g, request, session
from werkzeug.routing import Map

from server.extensions import db

# "METHOD endpoint" -> the actions of which an answer leaves one, with the request's id. {name} stands for anything.
RECORDED: dict[str, set[str]] = {
    # The account
    "GET account.Me": {"account.read"},
    "POST account.Logout": {"token.revoked"},
    "POST auth.Confirm": {"account.confirmed"},
    "POST auth.ForgotPassword": {"account.reset-asked"},
    "POST auth.Login": {"token.issued"},
    "POST auth.Register": {"account.registered"},
    "POST auth.ResetPassword": {"account.password-reset"},
    "POST patient.confirm_address": {"account.confirmed"},
    "POST patient.send_new_password": {"account.reset-asked"},
    "POST patient.send_registration": {"account.registered"},
    "POST patient.set_password": {"account.password-reset"},
    "POST security.login": {"account.signed-in"},
    "POST security.logout": {"account.signed-out"},
    "POST security.verify": {"account.signed-in-again"},
    "POST security.two_factor_token_validation": set(),  # account.signed-in or code-refused; nothing without a code
    "POST security.mf_recovery": set(),
    "POST security.wan_signin_response": {"account.signed-in"},
    "POST security.wan_verify_response": {"account.signed-in-again"},
    "POST security.wan_register_response": {"account.passkey-added"},
    "POST own_account.end_sign_in": {"token.revoked"},
    "POST own_account.end_other_sign_ins": {"token.others-revoked"},
    "POST own_account_changes.turn_on_second_factor": {"account.second-factor-on"},
    "POST own_account_changes.turn_off_second_factor": {"account.second-factor-off"},
    "POST own_account_changes.renew_recovery_codes": {"account.recovery-codes-made"},
    "POST own_account_changes.remove_passkey": {"account.passkey-removed"},
    "POST own_account_changes.send_new_address": {"account.address-asked"},
    "POST patient.confirm_new_address": {"account.address-changed"},
    "POST staff_accounts.invite_staff": {"account.invited"},
    "POST staff_accounts.invite_again": {"account.invited"},
    "POST staff_accounts.change_role": {"account.role-changed"},
    "POST staff_accounts.switch_account": {"account.switched-on", "account.switched-off"},
    "POST staff_accounts.reset_second_factor": {"account.second-factor-reset"},
    "GET calendar_feeds.CalendarFeeds": {"calendar-feeds.listed"},
    "POST calendar_feeds.CalendarFeeds": {"calendar-feed.created"},
    "DELETE calendar_feeds.CalendarFeedById": {"calendar-feed.revoked"},
    "GET patient_account.list_feeds": {"calendar-feeds.listed"},
    "POST patient_account.create_feed": {"calendar-feed.created"},
    "POST patient_account.revoke_feed": {"calendar-feed.revoked"},
    "POST admin.create_feed": {"calendar-feed.created"},
    "POST admin.revoke_feed": {"calendar-feed.revoked"},
    "GET patient.read_feed": {"calendar-feed.read"},  # once an hour: calendars ask all day long
    # Visits
    "GET appointments.Appointments": {"appointments.listed"},
    "POST appointments.Appointments": {
        "appointment.booked",
        "appointment.requested",
        "appointment.overridden",
        "appointment.overbooked",
    },
    "GET appointments.AppointmentById": {"appointment.read"},
    "GET appointments.Calendar": {"appointment.read"},
    "POST appointments.Approve": {"appointment.approved"},
    "POST appointments.Arrive": {"appointment.arrive"},
    "POST appointments.Cancel": {"appointment.cancelled"},
    "POST appointments.ChangeRoom": {"appointment.room-changed"},
    "POST appointments.Complete": {"appointment.complete"},
    "POST appointments.Confirm": {"appointment.confirmed", "appointment.read"},
    "POST appointments.Decline": {"appointment.declined"},
    "POST appointments.NoShow": {"appointment.no-show"},
    "POST appointments.Reschedule": {"appointment.rescheduled"},
    "POST appointments.Start": {"appointment.start"},
    "POST appointments.Undo": {"appointment.undo"},
    "POST holds.Holds": {"hold.made"},
    "DELETE holds.HoldById": {"hold.released"},
    "POST patient.hold_time": {"hold.made"},
    "POST patient.release_hold": {"hold.released"},
    "POST patient_account.book_hold": {"appointment.booked", "appointment.requested"},
    "POST patient_account.book_seat": {"appointment.booked", "appointment.requested"},
    "GET availability.Why": set(),  # to whoever may name a patient: availability.explained
    "GET patient_account.list_visits": {"appointments.listed"},
    "GET patient_account.show_visit": {"appointment.read"},
    "GET patient_account.ask_cancel": {"appointment.read"},
    "POST patient_account.cancel_visit": {"appointment.cancelled"},
    "GET patient_account.choose_new_time": {"appointment.read"},
    "POST patient_account.move_visit": {"appointment.rescheduled"},
    "GET patient_account.download_calendar": {"appointment.read"},
    "POST patient_account.set_preferences": {"patient.preferences-changed"},
    "GET patient.show_visit_link": {"appointment.read"},
    "POST patient.answer_visit_link": {"appointment.confirmed", "appointment.cancelled", "appointment.read"},
    "GET patient.choose_other_time": {"appointment.read"},
    "POST patient.move_by_link": {"appointment.rescheduled", "appointment.read"},
    "POST patient.unsubscribe": {"patient.preferences-changed"},
    # Series and groups
    "POST series.AllSeries": {"series.booked", "series.planned"},
    "GET series.SeriesById": {"series.read"},
    "POST series.CancelSeries": {"series.cancelled", "appointment.cancelled"},
    "POST series.RescheduleSeries": {"series.planned", "series.moved", "appointment.rescheduled"},
    "GET admin.show_series": {"series.read"},
    "POST admin.plan_series": {"series.planned"},
    "POST admin.book_series": {"series.booked"},
    "POST admin.move_series": {"series.moved", "appointment.rescheduled"},
    "POST group_sessions_of_staff.NewGroupSession": {"session.created"},
    "POST group_sessions_of_staff.GroupSessionCancel": {"appointment.cancelled"},
    "PUT group_sessions_of_staff.GroupSessionCapacity": {"appointment.capacity-changed"},
    "POST admin.create_session": {"session.created"},
    "GET admin.show_session": {"session.read"},
    "POST admin.find_patient_for_session": {"session.read"},  # with a name: patients.searched, too
    "POST admin.book_seat": {"appointment.booked"},
    "POST admin.change_capacity": {"appointment.capacity-changed"},
    "POST admin.cancel_session": {"appointment.cancelled"},
    # The waitlist
    "GET waitlist.Waitlist": {"waitlist.listed"},
    "POST waitlist.Waitlist": {"waitlist.joined"},
    "GET waitlist.EntryById": {"waitlist.read"},
    "DELETE waitlist.EntryById": {"waitlist.left"},
    "GET waitlist_offers.Offers": {"waitlist.offers-listed"},
    "GET waitlist_offers.OfferById": {"waitlist.offer-read"},
    "POST waitlist_offers.Accept": {"waitlist.offer-accepted", "waitlist.accepted"},
    "POST waitlist_offers.Decline": {"waitlist.offer-declined", "waitlist.declined"},
    "GET freed_times.FreedTimes": {"waitlist.stories-read"},
    "GET waitlist_report.WaitlistReport": {"report.read"},
    "GET patient_account.ask_wishes_for_visit": {"appointment.read"},
    "POST patient_account.join": {"waitlist.joined"},
    "POST patient_account.join_for_visit": {"waitlist.joined"},
    "POST patient_account.leave": {"waitlist.left"},
    "GET patient_account.show_offer": {"waitlist.offer-read"},
    "POST patient_account.accept_offer": {"waitlist.accepted", "waitlist.offer-accepted"},
    "POST patient_account.decline_offer": {"waitlist.declined", "waitlist.offer-declined"},
    "GET patient.show_offer_link": {"waitlist.offer-read"},
    "POST patient.answer_offer_link": {"waitlist.offer-read"},
    "GET admin.show_waitlist": {"waitlist.listed"},
    "GET admin.show_joining": set(),  # with a patient: patient.read
    "POST admin.join_waitlist": {"waitlist.joined"},
    "POST admin.find_patient_who_waits": set(),  # with a name: patients.searched
    "POST admin.leave_waitlist": {"waitlist.left"},
    # The desk
    "GET admin.show_day": {"day.read"},
    "GET admin.list_requests": {"appointments.listed"},
    "GET admin.show_appointment": {"appointment.read"},
    "POST admin.take_step": {
        "appointment.{step}",
        "appointment.confirmed",
        "appointment.approved",
        "appointment.declined",
    },
    "POST admin.change_room": {"appointment.room-changed"},
    "GET admin.show_move": {"appointment.read"},
    "POST admin.move_appointment": {"appointment.rescheduled", "series.planned", "appointment.read"},
    "GET admin.show_cancel": {"appointment.read"},
    "POST admin.cancel_appointment": {"appointment.cancelled", "series.cancelled"},
    "GET admin.show_booking": set(),  # with a patient: patient.read
    "POST admin.book_appointment": {"appointment.booked", "appointment.overridden", "appointment.overbooked"},
    "POST admin.find_patient": set(),  # with a name: patients.searched
    "POST admin.create_patient": {"patient.created"},
    "GET set_up.Referrals": {"referrals.listed"},
    "POST set_up.Referrals": {"referral.added"},
    "DELETE set_up.ReferralById": {"referral.removed"},
    # Hours, leave, and who is in the way
    "POST schedules.Schedules": {"schedule.added"},
    "PATCH schedules.ScheduleById": {"schedule.changed"},
    "DELETE schedules.ScheduleById": {"schedule.removed"},
    "POST admin.add_hours": {"schedule.added"},
    "POST admin.change_hours": {"schedule.changed"},
    "POST admin.remove_hours": {"schedule.removed"},
    "POST closures.Closures": {"closure.added", "closure.previewed"},
    "GET closures.ClosureById": {"closure.read"},
    "PATCH closures.ClosureById": {"closure.changed"},
    "DELETE closures.ClosureById": {"closure.removed"},
    "POST closures.ClosurePreview": {"closure.previewed"},
    "GET stranded.StrandedAppointments": {"appointments.listed"},
    "GET admin.list_stranded_visits": {"appointments.listed"},
    "GET admin.list_leave": {"appointments.listed"},
    "POST admin.enter_leave": {"closure.added", "closure.previewed"},
    "POST admin.show_plan": {"closure.previewed"},
    "GET admin.show_leave": {"closure.read"},
    "GET admin.show_new_plan": {"closure.previewed"},
    "POST admin.decide_anew": {"closure.changed", "closure.previewed"},
    "GET admin.show_change_leave": {"closure.read"},
    "POST admin.change_leave": {"closure.changed", "closure.previewed"},
    "POST admin.show_change_plan": {"closure.previewed"},
    "POST admin.remove_leave": {"closure.removed"},
    "POST admin.enter_holidays": {"closure.added"},
    "PUT external_calendars.ExternalCalendar": {"external-calendar.set"},
    "DELETE external_calendars.ExternalCalendar": {"external-calendar.removed"},
    "POST admin.set_calendar": {"external-calendar.set"},
    "POST admin.remove_calendar": {"external-calendar.removed"},
    # Messages
    "GET messages.Notifications": {"messages.listed"},
    "POST messages.Retry": {"message.retried"},
    "GET messages.Preferences": {"patient.preferences-read"},
    "PUT messages.Preferences": {"patient.preferences-changed"},
    "POST messages.ReminderRules": {"reminder-rule.created"},
    "DELETE messages.ReminderRuleById": {"reminder-rule.deleted"},
    "POST messages.ReminderRuleTest": {"reminder-rule.tested"},
    "GET admin.show_messages": {"messages.listed"},
    "GET admin.show_message": {"message.read"},
    "POST admin.retry_message": {"message.retried"},
    "POST admin.create_reminder_rule": {"reminder-rule.created"},
    "POST admin.send_test": {"reminder-rule.tested"},
    "POST admin.delete_rule": {"reminder-rule.deleted"},
    # Settings, looks, letters
    "PATCH appearance.Appearance": set(),  # an event for each thing that is another one now
    "POST admin.change_appearance": set(),
    "PUT letters.LetterText": set(),
    "DELETE letters.LetterText": set(),
    "POST admin.save_letter": set(),
    "POST admin.send_test_letter": {"letter-text.tested"},
    "POST admin.reset_letter": set(),
    "POST set_up.NewService": {"service.created"},
    "PATCH set_up.ServiceChange": {"service.changed"},
    "POST set_up.Rooms": {"room.created"},
    "PATCH set_up.RoomById": {"room.changed"},
    "PUT set_up.RuleByService": {"rule.changed"},
    "DELETE set_up.RuleByService": {"rule.deleted"},
    "PATCH set_up.Settings": {"settings.changed"},
    # What is on record, and who read it
    "GET audit.show_audit": {"audit.searched"},
    "POST audit.find_people": {"audit.searched"},  # with a name: patients.searched, too
    "GET audit.download_audit": {"audit.searched"},
    "GET audit_events.AuditEvents": {"audit.searched"},
    "GET audit_events.AccessLog": {"access-log.read"},
    "GET patient_account.show_access": {"access-log.read"},
    # Imports, exports, jobs
    "POST exports.Exports": {"export-{kind}.asked"},
    "POST imports.Imports": {"import-{kind}.asked"},
    "GET jobs.JobRows": {"{kind}.read"},
    "POST jobs.JobApply": {"{kind}.applied"},
    "POST jobs.JobCancel": {"{kind}.cancelled"},
    "GET jobs.JobResult": {"{kind}.downloaded"},
    "POST admin.start_export": {"export-{kind}.asked"},
    "POST admin.start_import": {"import-{kind}.asked"},
    "GET admin.show_job": set(),  # an import's rows: {kind}.read
    "POST admin.apply_import": {"{kind}.applied"},
    "POST admin.cancel_job": {"{kind}.cancelled"},
    "GET admin.download_result": {"{kind}.downloaded"},
    "POST timetable.TimetableRun": {"timetable.run"},
    "POST admin.run_job": {"timetable.run"},
}

# Doors without data of patients: what the clinic is and offers, forms that are empty, and pages that only lead on.
NOTHING_OF_PATIENTS: set[str] = {
    "POST auth.Refresh",  # goes on a sign-in that is on record; a token used twice is refused, and that is
    "GET security.login",
    "GET security.verify",
    "GET patient.ask_confirm_address",
    "GET own_account.show_sign_in",
    "GET own_account_changes.ask_new_address",
    "GET own_account_changes.show_second_factor",
    "GET staff_accounts.list_accounts",
    "GET security.mf_recovery_codes",
    "POST security.mf_recovery_codes",
    "GET security.tf_select",
    "POST security.tf_select",
    "GET security.two_factor_rescue",
    "POST security.two_factor_rescue",
    "GET security.two_factor_setup",
    "POST security.two_factor_setup",
    "GET security.wan_delete",
    "POST security.wan_delete",
    "GET security.wan_register",
    "POST security.wan_register",
    "GET security.wan_signin",
    "POST security.wan_signin",
    "GET security.wan_verify",
    "POST security.wan_verify",
    "GET security.mf_recovery",
    "GET security.two_factor_token_validation",
    "POST security.two_factor_setup_validate",
    "GET security.confirm_email",
    "POST security.confirm_email",
    "GET security.send_confirmation",
    "POST security.send_confirmation",
    "GET admin.go_to_today",
    "GET admin.list_sessions",
    "GET admin.show_hours",
    "GET admin.show_change_hours",
    "GET admin.show_new_leave",
    "GET admin.show_holidays",
    "GET admin.show_calendar",
    "GET admin.list_reminder_rules",
    "GET admin.ask_delete_rule",
    "GET admin.show_appearance",
    "GET admin.preview_appearance",  # about invented people, as all previews
    "POST admin.preview_appearance",
    "GET admin.list_letters",
    "GET admin.show_letter",
    "GET admin.preview_letter",
    "POST admin.preview_letter",
    "GET admin.ask_reset",
    "GET admin.list_jobs",
    "GET admin.show_import",
    "GET admin.show_progress",
    "GET admin.show_timetable",
    "GET api_docs.show_description",
    "GET api_docs.show_docs",
    "GET api_docs.show_docs_file",
    "GET appearance.Appearance",
    "GET availability.Availability",
    "GET closures.Closures",
    "GET closures.Holidays",
    "GET directory.LocationById",
    "GET directory.Locations",
    "GET directory.PractitionerById",
    "GET directory.Practitioners",
    "GET directory.ServiceById",
    "GET directory.Services",
    "GET external_calendars.ExternalCalendar",
    "GET group_sessions.GroupSessionById",
    "GET group_sessions.GroupSessions",
    "GET health.show_health",
    "POST hooks.take_receipt",  # what a text's gateway says; what a text changes is on record with its visit
    "POST hooks.take_text",
    "GET jobs.JobById",
    "GET jobs.Jobs",
    "GET letters.LetterText",
    "GET letters.Letters",
    "GET messages.ReminderRules",
    "GET schedules.ScheduleById",
    "GET schedules.Schedules",
    "GET set_up.Rooms",
    "GET set_up.Rules",
    "GET set_up.Settings",
    "GET timetable.Timetable",
    "GET patient.ask_confirmation",
    "GET patient.ask_unsubscribe",
    "GET patient.choose_password",
    "GET patient.choose_time",
    "GET patient.forgot_password",
    "GET patient.list_services",
    "GET patient.register",
    "GET patient.show_logo",
    "GET patient.show_new_password_sent",
    "GET patient.show_registration_sent",
    "GET patient_account.after_sign_in",
}
# Forms in which people choose for whom among those they may act for; they see these names and nothing else.
NAMES_OF_THEIR_OWN: set[str] = {
    "GET patient.show_hold",
    "GET patient_account.ask_seat",
    "GET patient_account.ask_wishes",
}

_LOOK = "SELECT action FROM audit_events WHERE request_id = %s"


def doors(url_map: Map) -> set[str]:
    """Every door of the product: "METHOD endpoint"."""
    return {
        f"{method} {rule.endpoint}"
        for rule in url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.endpoint.endswith("static") and not rule.endpoint.startswith("demo_mail.")
    }


class Witness:
    """Looks after each request whether its event is there; `missed` fills with those that left none."""

    def __init__(self, app: Flask) -> None:
        self.missed: list[str] = []
        app.before_request(self._count)
        app.after_request(self._look)

    @staticmethod
    def _count() -> None:
        g.told_before = Witness._successes()

    @staticmethod
    def _successes() -> int:
        return sum(kind == "success" for kind, _ in session.get("_flashes", ()))

    def _look(self, response: Response) -> Response:
        door = f"{request.method} {request.endpoint}"
        expected = RECORDED.get(door, set())
        if expected and self._did_something(response):
            actions = self._actions()
            if not any(self._is(action, expected) for action in actions):
                self.missed.append(f"{door} answered {response.status_code} and left {actions or 'nothing'}")
        return response

    @staticmethod
    def _did_something(response: Response) -> bool:
        if "Idempotent-Replayed" in response.headers or request.endpoint == "patient.read_feed":
            return False
        if response.status_code < 300:
            return True
        # A form answers with a redirect whether it did or did not; when it did, the next page will say so.
        return response.status_code < 304 and Witness._successes() > g.get("told_before", 0)

    @staticmethod
    def _actions() -> list[str]:
        raw: Any = db.session.connection().connection
        with raw.cursor() as cursor:  # seen by nobody who counts statements
            cursor.execute(_LOOK, (g.request_id,))
            return [action for (action,) in cursor.fetchall()]

    @staticmethod
    def _is(action: str, expected: set[str]) -> bool:
        return action in expected or any("{" in each and action.endswith(each.rpartition(".")[2]) for each in expected)
