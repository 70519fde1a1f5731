"""The staff door: its URLs and their guard."""

from flask import Blueprint

from server.admin import (
    account_pages,
    appearance_pages,
    appointment_pages,
    audit_pages,
    booking_pages,
    calendar_pages,
    day_pages,
    hours_pages,
    job_pages,
    joining_pages,
    leave_change_pages,
    leave_pages,
    letter_pages,
    message_pages,
    reminder_pages,
    request_pages,
    series_pages,
    session_pages,
    timetable_pages,
    waitlist_pages,
)
from server.web.guards import auditors_on_pages, fresh_staff_on_pages, guard, staff_on_pages

admin = Blueprint("admin", __name__, url_prefix="/admin")
guard(admin, staff_on_pages)
# What is on record is for auditors, who see nothing else of these pages, and for administrators.
audit = Blueprint("audit", __name__, url_prefix="/admin/audit")
guard(audit, auditors_on_pages)
audit.add_url_rule("", view_func=audit_pages.show_audit)
audit.add_url_rule("/find", view_func=audit_pages.find_people, methods=["POST"])
audit.add_url_rule("/events.csv", view_func=audit_pages.download_audit)

STEPS = "'confirm', 'arrive', 'start', 'complete', 'no-show', 'approve', 'decline', 'undo'"
STEP = f"/appointments/<uuid:appointment_id>/<any({STEPS}):step>"

# The day
admin.add_url_rule("", view_func=day_pages.go_to_today, strict_slashes=False)
admin.add_url_rule("/day", view_func=day_pages.show_day)

# Requests
admin.add_url_rule("/requests", view_func=request_pages.list_requests)

# One appointment
admin.add_url_rule("/appointments/<uuid:appointment_id>", view_func=appointment_pages.show_appointment)
admin.add_url_rule(STEP, view_func=appointment_pages.take_step, methods=["POST"])
admin.add_url_rule(
    "/appointments/<uuid:appointment_id>/room", view_func=appointment_pages.change_room, methods=["POST"]
)
admin.add_url_rule("/appointments/<uuid:appointment_id>/move", view_func=appointment_pages.show_move)
admin.add_url_rule(
    "/appointments/<uuid:appointment_id>/move", view_func=appointment_pages.move_appointment, methods=["POST"]
)
admin.add_url_rule("/appointments/<uuid:appointment_id>/cancel", view_func=appointment_pages.show_cancel)
admin.add_url_rule(
    "/appointments/<uuid:appointment_id>/cancel", view_func=appointment_pages.cancel_appointment, methods=["POST"]
)

# Booking for a patient
admin.add_url_rule("/book", view_func=booking_pages.show_booking)
admin.add_url_rule("/book", view_func=booking_pages.book_appointment, methods=["POST"])
admin.add_url_rule("/book/find-patient", view_func=booking_pages.find_patient, methods=["POST"])
admin.add_url_rule("/book/new-patient", view_func=booking_pages.create_patient, methods=["POST"])

# Visits that repeat
admin.add_url_rule("/series/<uuid:series_id>", view_func=series_pages.show_series)
admin.add_url_rule("/book/plan-series", view_func=series_pages.plan_series, methods=["POST"])
admin.add_url_rule("/book/series", view_func=series_pages.book_series, methods=["POST"])
admin.add_url_rule(
    "/appointments/<uuid:appointment_id>/move-series", view_func=series_pages.move_series, methods=["POST"]
)

# Group sessions
admin.add_url_rule("/sessions", view_func=session_pages.list_sessions)
admin.add_url_rule("/sessions", view_func=session_pages.create_session, methods=["POST"])
admin.add_url_rule("/sessions/<uuid:session_id>", view_func=session_pages.show_session)
admin.add_url_rule(
    "/sessions/<uuid:session_id>/find-patient", view_func=session_pages.find_patient_for_session, methods=["POST"]
)
admin.add_url_rule("/sessions/<uuid:session_id>/seats", view_func=session_pages.book_seat, methods=["POST"])
admin.add_url_rule("/sessions/<uuid:session_id>/capacity", view_func=session_pages.change_capacity, methods=["POST"])
admin.add_url_rule("/sessions/<uuid:session_id>/cancel", view_func=session_pages.cancel_session, methods=["POST"])

# Hours
admin.add_url_rule("/hours", view_func=hours_pages.show_hours)
admin.add_url_rule("/hours", view_func=hours_pages.add_hours, methods=["POST"])
admin.add_url_rule("/hours/<uuid:schedule_id>", view_func=hours_pages.show_change_hours)
admin.add_url_rule("/hours/<uuid:schedule_id>", view_func=hours_pages.change_hours, methods=["POST"])
admin.add_url_rule("/hours/<uuid:schedule_id>/remove", view_func=hours_pages.remove_hours, methods=["POST"])

# Leave, holidays, blocks, and who is in the way of them
admin.add_url_rule("/leave", view_func=leave_pages.list_leave)
admin.add_url_rule("/leave", view_func=leave_pages.enter_leave, methods=["POST"])
admin.add_url_rule("/leave/new", view_func=leave_pages.show_new_leave)
admin.add_url_rule("/leave/plan", view_func=leave_pages.show_plan, methods=["POST"])
admin.add_url_rule("/leave/<uuid:closure_id>", view_func=leave_pages.show_leave)
admin.add_url_rule("/leave/<uuid:closure_id>/change", view_func=leave_change_pages.show_change_leave)
admin.add_url_rule("/leave/<uuid:closure_id>/change", view_func=leave_change_pages.change_leave, methods=["POST"])
admin.add_url_rule(
    "/leave/<uuid:closure_id>/change/plan", view_func=leave_change_pages.show_change_plan, methods=["POST"]
)
admin.add_url_rule("/leave/<uuid:closure_id>/plan", view_func=leave_pages.show_new_plan)
admin.add_url_rule("/leave/<uuid:closure_id>/plan", view_func=leave_pages.decide_anew, methods=["POST"])
admin.add_url_rule("/leave/<uuid:closure_id>/remove", view_func=leave_pages.remove_leave, methods=["POST"])
admin.add_url_rule("/holidays", view_func=leave_pages.show_holidays)
admin.add_url_rule("/holidays", view_func=leave_pages.enter_holidays, methods=["POST"])
admin.add_url_rule("/stranded", view_func=leave_pages.list_stranded_visits)

# Practitioners' own calendars
admin.add_url_rule("/own-calendar", view_func=calendar_pages.show_calendar)
admin.add_url_rule("/own-calendar", view_func=calendar_pages.set_calendar, methods=["POST"])
admin.add_url_rule("/own-calendar/remove", view_func=calendar_pages.remove_calendar, methods=["POST"])
admin.add_url_rule("/own-calendar/feeds", view_func=calendar_pages.create_feed, methods=["POST"])
admin.add_url_rule("/own-calendar/feeds/<uuid:feed_id>/revoke", view_func=calendar_pages.revoke_feed, methods=["POST"])

# Who waits, and what became of freed time
admin.add_url_rule("/waitlist", view_func=waitlist_pages.show_waitlist)
admin.add_url_rule("/waitlist/join", view_func=joining_pages.show_joining)
admin.add_url_rule("/waitlist/join", view_func=joining_pages.join_waitlist, methods=["POST"])
admin.add_url_rule("/waitlist/join/find-patient", view_func=joining_pages.find_patient_who_waits, methods=["POST"])
admin.add_url_rule("/waitlist/<uuid:entry_id>/leave", view_func=waitlist_pages.leave_waitlist, methods=["POST"])

# What goes out, what became of it, and when patients are reminded
admin.add_url_rule("/messages", view_func=message_pages.show_messages)
admin.add_url_rule("/messages/<uuid:message_id>", view_func=message_pages.show_message)
admin.add_url_rule("/messages/<uuid:message_id>/retry", view_func=message_pages.retry_message, methods=["POST"])
admin.add_url_rule("/reminders", view_func=reminder_pages.list_reminder_rules)
admin.add_url_rule("/reminders", view_func=reminder_pages.create_reminder_rule, methods=["POST"])
admin.add_url_rule("/reminders/<uuid:rule_id>/test", view_func=reminder_pages.send_test, methods=["POST"])
admin.add_url_rule("/reminders/<uuid:rule_id>/delete", view_func=reminder_pages.ask_delete_rule)
admin.add_url_rule("/reminders/<uuid:rule_id>/delete", view_func=reminder_pages.delete_rule, methods=["POST"])

# How the clinic appears, and its own words in letters
LETTER = "/letters/<letter>/<language>"
admin.add_url_rule("/appearance", view_func=appearance_pages.show_appearance)
admin.add_url_rule("/appearance", view_func=appearance_pages.change_appearance, methods=["POST"])
admin.add_url_rule("/appearance/preview", view_func=appearance_pages.preview_appearance, methods=["GET", "POST"])
admin.add_url_rule("/letters", view_func=letter_pages.list_letters)
admin.add_url_rule(LETTER, view_func=letter_pages.show_letter)
admin.add_url_rule(LETTER, view_func=letter_pages.save_letter, methods=["POST"])
admin.add_url_rule(f"{LETTER}/preview", view_func=letter_pages.preview_letter, methods=["GET", "POST"])
admin.add_url_rule(f"{LETTER}/test", view_func=letter_pages.send_test_letter, methods=["POST"])
admin.add_url_rule(f"{LETTER}/reset", view_func=letter_pages.ask_reset)
admin.add_url_rule(f"{LETTER}/reset", view_func=letter_pages.reset_letter, methods=["POST"])
# Imports, exports, and what happens by itself
admin.add_url_rule("/jobs", view_func=job_pages.list_jobs)
admin.add_url_rule("/jobs/exports", view_func=job_pages.start_export, methods=["POST"])
admin.add_url_rule("/jobs/import", view_func=job_pages.show_import)
admin.add_url_rule("/jobs/import", view_func=job_pages.start_import, methods=["POST"])
admin.add_url_rule("/jobs/<uuid:job_id>", view_func=job_pages.show_job)
admin.add_url_rule("/jobs/<uuid:job_id>/progress", view_func=job_pages.show_progress)
admin.add_url_rule("/jobs/<uuid:job_id>/apply", view_func=job_pages.apply_import, methods=["POST"])
admin.add_url_rule("/jobs/<uuid:job_id>/cancel", view_func=job_pages.cancel_job, methods=["POST"])
admin.add_url_rule("/jobs/<uuid:job_id>/file", view_func=job_pages.download_result)
admin.add_url_rule("/timetable", view_func=timetable_pages.show_timetable)
admin.add_url_rule("/timetable/<string:name>/run", view_func=timetable_pages.run_job, methods=["POST"])

# Who may sign in as staff: for whoever gave their password a moment ago
accounts = Blueprint("staff_accounts", __name__, url_prefix="/admin/accounts")
guard(accounts, fresh_staff_on_pages)

ACCOUNT = "/<uuid:user_id>"
accounts.add_url_rule("", view_func=account_pages.list_accounts)
accounts.add_url_rule("", view_func=account_pages.invite_staff, methods=["POST"])
accounts.add_url_rule(f"{ACCOUNT}/invite", view_func=account_pages.invite_again, methods=["POST"])
accounts.add_url_rule(f"{ACCOUNT}/role", view_func=account_pages.change_role, methods=["POST"])
accounts.add_url_rule(f"{ACCOUNT}/<any('on', 'off'):to>", view_func=account_pages.switch_account, methods=["POST"])
accounts.add_url_rule(f"{ACCOUNT}/second-factor", view_func=account_pages.reset_second_factor, methods=["POST"])
