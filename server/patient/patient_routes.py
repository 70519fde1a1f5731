"""The patient door: its URLs and their guards. The views live one file a page family."""

from flask import Blueprint

from server.patient import (
    access_pages,
    account_pages,
    address_pages,
    booking_pages,
    feed_pages,
    link_pages,
    logo_pages,
    preference_pages,
    session_pages,
    sign_in_pages,
    visit_pages,
    waitlist_pages,
)
from server.web.guards import account_on_pages, everybody, fresh_account_on_pages, guard

patient = Blueprint("patient", __name__)
guard(patient, everybody)

patient.get("/")(booking_pages.list_services)
patient.get("/book/<uuid:service_id>")(booking_pages.choose_time)
patient.post("/book/<uuid:service_id>/hold")(booking_pages.hold_time)
patient.get("/book/holds/<uuid:hold_id>")(booking_pages.show_hold)
patient.post("/book/holds/<uuid:hold_id>/release")(booking_pages.release_hold)
patient.get("/register")(account_pages.register)
patient.post("/register")(account_pages.send_registration)
patient.get("/register/sent")(account_pages.show_registration_sent)
patient.get("/confirm/<token>")(account_pages.ask_confirmation)
patient.post("/confirm/<token>")(account_pages.confirm_address)
patient.get("/forgot-password")(account_pages.forgot_password)
patient.post("/forgot-password")(account_pages.send_new_password)
patient.get("/forgot-password/sent")(account_pages.show_new_password_sent)
patient.get("/reset-password/<token>")(account_pages.choose_password)
patient.post("/reset-password/<token>")(account_pages.set_password)
patient.get("/new-address/<token>")(address_pages.ask_confirm_address)
patient.post("/new-address/<token>")(address_pages.confirm_new_address)
patient.get("/visit-links/<token>")(link_pages.show_visit_link)
patient.post("/visit-links/<token>/<any('confirm', 'cancel'):step>")(link_pages.answer_visit_link)
patient.get("/visit-links/<token>/move")(link_pages.choose_other_time)
patient.post("/visit-links/<token>/move")(link_pages.move_by_link)
patient.get("/offer-links/<token>")(link_pages.show_offer_link)
patient.post("/offer-links/<token>/<any('accept', 'decline', 'leave'):step>")(link_pages.answer_offer_link)
patient.get("/no-more-reminders/<token>")(link_pages.ask_unsubscribe)
patient.post("/no-more-reminders/<token>")(link_pages.unsubscribe)
patient.get("/calendars/<secret>.ics")(feed_pages.read_feed)
patient.get("/logo/<fingerprint>.png")(logo_pages.show_logo)

patient_account = Blueprint("patient_account", __name__)
guard(patient_account, account_on_pages)

patient_account.get("/after-sign-in")(account_pages.after_sign_in)
patient_account.post("/book/holds/<uuid:hold_id>")(booking_pages.book_hold)
patient_account.get("/book/sessions/<uuid:session_id>")(session_pages.ask_seat)
patient_account.post("/book/sessions/<uuid:session_id>")(session_pages.book_seat)
patient_account.get("/visits")(visit_pages.list_visits)
patient_account.post("/visits/reminders")(preference_pages.set_preferences)
patient_account.get("/visits/calendar")(feed_pages.list_feeds)
patient_account.post("/visits/calendar")(feed_pages.create_feed)
patient_account.post("/visits/calendar/<uuid:feed_id>/revoke")(feed_pages.revoke_feed)
patient_account.get("/access/<uuid:patient_id>")(access_pages.show_access)
patient_account.get("/visits/<uuid:visit_id>")(visit_pages.show_visit)
patient_account.get("/visits/<uuid:visit_id>/calendar.ics")(visit_pages.download_calendar)
patient_account.get("/visits/<uuid:visit_id>/move")(visit_pages.choose_new_time)
patient_account.post("/visits/<uuid:visit_id>/move")(visit_pages.move_visit)
patient_account.get("/visits/<uuid:visit_id>/cancel")(visit_pages.ask_cancel)
patient_account.post("/visits/<uuid:visit_id>/cancel")(visit_pages.cancel_visit)
patient_account.get("/visits/<uuid:visit_id>/waitlist")(waitlist_pages.ask_wishes_for_visit)
patient_account.post("/visits/<uuid:visit_id>/waitlist")(waitlist_pages.join_for_visit)
patient_account.get("/book/<uuid:service_id>/waitlist")(waitlist_pages.ask_wishes)
patient_account.post("/book/<uuid:service_id>/waitlist")(waitlist_pages.join)
patient_account.post("/waitlist/<uuid:entry_id>/leave")(waitlist_pages.leave)
patient_account.get("/waitlist/offers/<uuid:offer_id>")(waitlist_pages.show_offer)
patient_account.post("/waitlist/offers/<uuid:offer_id>/accept")(waitlist_pages.accept_offer)
patient_account.post("/waitlist/offers/<uuid:offer_id>/decline")(waitlist_pages.decline_offer)

# How somebody signs in, and where they are signed in
own_account = Blueprint("own_account", __name__, url_prefix="/account")
guard(own_account, account_on_pages)

own_account.get("")(sign_in_pages.show_sign_in)
own_account.post("/sign-ins/<uuid:family_id>/end")(sign_in_pages.end_sign_in)
own_account.post("/sign-ins/end-others")(sign_in_pages.end_other_sign_ins)

own_account_changes = Blueprint("own_account_changes", __name__, url_prefix="/account")
guard(own_account_changes, fresh_account_on_pages)

own_account_changes.get("/second-factor")(sign_in_pages.show_second_factor)
own_account_changes.post("/second-factor")(sign_in_pages.turn_on_second_factor)
own_account_changes.post("/second-factor/off")(sign_in_pages.turn_off_second_factor)
own_account_changes.post("/recovery-codes")(sign_in_pages.renew_recovery_codes)
own_account_changes.post("/passkeys/<uuid:passkey_id>/remove")(sign_in_pages.remove_passkey)
own_account_changes.get("/e-mail")(address_pages.ask_new_address)
own_account_changes.post("/e-mail")(address_pages.send_new_address)
