"""Free times, computed and never stored, and why a time is not free.

Opening hours (`opening_hours`) less closures and what is occupied.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from server.errors import Invalid, NotVisible
from server.models import OCCUPIES
from server.services.access import Actor
from server.services.opening_hours import ANYBODY, BOUNDS, HOURS, OFFERED, ONE, SHARED_BOUNDS, WALL_TIMES
from server.services.statements import Statement
from server.utils import clock
from server.utils.text import minutes_in_words

MAX_DAYS = 62
FEW = 5  # so many free times of one practitioner are probably found within a day
Found = Any  # a row of FACTS

_OCCUPIES = f"""a.{OCCUPIES}
                   AND (a.status <> 'proposed' OR a.hold_expires_at > statement_timestamp())
                   AND a.id IS DISTINCT FROM CAST(:ignore_id AS uuid)"""

_CLOSED = """(c.practitioner_id IS NULL OR c.practitioner_id = h.practitioner_id)
                   AND (c.location_id IS NULL OR c.location_id = h.location_id)"""

# What is in the way of visits that start in a chunk, widened by the buffers: then a visit without buffers fits into
# what is left of the hours exactly when one with them fits between the others.
_NEAR = "a.occupied && tstzrange(chunk_lo - before, chunk_hi + duration + after)"
_WIDENED = "tstzrange(lower(a.occupied) - after, upper(a.occupied) + before)"

# For one practitioner: a look into the indexes for each row of hours.
_TAKEN_OF_ONE = f"""
             CROSS JOIN LATERAL (
                SELECT coalesce(range_agg(span), '{{}}') AS taken FROM (
                    SELECT c.during AS span FROM near_closures c WHERE {_CLOSED}
                     UNION ALL
                    SELECT {_WIDENED} FROM appointments a
                     WHERE a.practitioner_id = h.practitioner_id AND {_NEAR} AND {_OCCUPIES}
                     UNION ALL
                    SELECT {_WIDENED} FROM appointments a
                     WHERE h.room_id IS NOT NULL AND a.room_id = h.room_id AND {_NEAR} AND {_OCCUPIES}
                ) AS spans) AS in_the_way
"""
# For everybody: one pass over all visits of the chunk, many times faster than a look for each.
_TAKEN_OF_ALL = f"""
              LEFT JOIN (
                SELECT a.practitioner_id, range_agg({_WIDENED}) AS busy FROM appointments a
                 WHERE {_NEAR} AND {_OCCUPIES}
                 GROUP BY a.practitioner_id) AS own ON own.practitioner_id = h.practitioner_id
              LEFT JOIN (
                SELECT a.room_id, range_agg({_WIDENED}) AS busy FROM appointments a
                 WHERE a.room_id IS NOT NULL AND {_NEAR} AND {_OCCUPIES}
                 GROUP BY a.room_id) AS room ON room.room_id = h.room_id
             CROSS JOIN LATERAL (
                SELECT coalesce(range_agg(c.during), '{{}}')
                       + coalesce(own.busy, '{{}}') + coalesce(room.busy, '{{}}') AS taken
                  FROM near_closures c WHERE {_CLOSED}) AS in_the_way
"""


def _no_start_without(kind: str, occupied_by: str) -> str:
    """The starts at which every room (or device) of the kind that the service needs is taken at a location.

    One by one first and then what they have in common: half an hour in one room and half in another is no room.
    """
    return f"""
                CASE WHEN {kind} IS NULL THEN '{{}}'::tstzmultirange ELSE coalesce((
                    SELECT range_intersect_agg(each.taken) FROM rooms r CROSS JOIN LATERAL (
                        SELECT coalesce(range_agg(tstzrange(lower(a.occupied) - duration - after,
                                                            upper(a.occupied) + before, '()')), '{{}}') AS taken
                          FROM appointments a WHERE a.{occupied_by} = r.id AND {_NEAR} AND {_OCCUPIES}) AS each
                     WHERE r.location_id = l.id AND r.kind = {kind} AND r.is_active), '{{(,)}}') END"""


# Patients book within the notice and the horizon of the service, or of the practitioner where theirs differ.
_FROM = "now.at + CASE WHEN :as_staff THEN interval '0' ELSE make_interval(mins => {notice}) END"
_UNTIL = "CASE WHEN :as_staff THEN 'infinity' ELSE now.at + make_interval(days => {horizon}) END"


def _search_of(whose: str, taken: str, bounds: str, wall_times: str = "") -> Statement:
    """The search, for one practitioner or for everybody.

    It goes over the span in chunks, in order of time, each twice as long as the one before, and stops at the
    chunk that fills the limit: "the first free time of any of a thousand practitioners" looks at hours and not
    at a month. Starts lie on the service's steps, counted from the beginning of each opening.
    """
    return Statement(f"""
    WITH {wall_times} service AS (
        SELECT make_interval(mins => duration_minutes) AS duration,
               make_interval(mins => step_minutes) AS step,
               make_interval(mins => buffer_before_minutes) AS before,
               make_interval(mins => buffer_after_minutes) AS after,
               room_kind, device_kind, now.at, hs.minimum_notice_minutes AS notice, hs.horizon_days AS horizon,
               greatest(CAST(:from_at AS timestamptz), {_FROM.format(notice="coalesce(rules.notice, 0)")}) AS lo,
               least(CAST(:to_at AS timestamptz), {_UNTIL.format(horizon="coalesce(rules.horizon, 0)")}) AS hi
          FROM healthcare_services hs
         CROSS JOIN LATERAL (SELECT statement_timestamp() AS at) AS now
         CROSS JOIN LATERAL (
            SELECT least(min(r.minimum_notice_minutes), hs.minimum_notice_minutes) AS notice,
                   greatest(max(r.horizon_days), hs.horizon_days) AS horizon
              FROM practitioner_rules r WHERE r.service_id = hs.id) AS rules
         WHERE hs.id = :service_id AND hs.capacity = 1
    )
    SELECT * FROM (
        SELECT free.*
          FROM service
         CROSS JOIN generate_series(0, 8) AS doubling
         CROSS JOIN LATERAL (
            SELECT lo + make_interval(hours => :first_hours * ((1 << doubling) - 1)) AS chunk_lo,
                   least(lo + make_interval(hours => :first_hours * ((2 << doubling) - 1)), service.hi) AS chunk_hi
            OFFSET 0) AS chunk  -- a fence, too
         CROSS JOIN LATERAL (
            WITH near_closures AS MATERIALIZED (
                SELECT * FROM closures WHERE during && tstzrange(chunk_lo, chunk_hi + duration)),
            lacking AS MATERIALIZED (
                SELECT l.id AS location_id, {_no_start_without("room_kind", "room_id")} AS room,
                       {_no_start_without("device_kind", "device_id")} AS device
                  FROM locations l WHERE room_kind IS NOT NULL OR device_kind IS NOT NULL)
            SELECT DISTINCT start, start + duration AS "end", h.practitioner_id, h.location_id  -- in whichever room
              FROM ({HOURS.format(lo="chunk_lo", hi="chunk_hi", offered=OFFERED, whose=whose, bounds=bounds)}) AS h
              LEFT JOIN practitioner_rules rule
                ON rule.practitioner_id = h.practitioner_id AND rule.service_id = :service_id
              LEFT JOIN lacking ON lacking.location_id = h.location_id
             CROSS JOIN LATERAL (
                SELECT greatest(chunk_lo, {_FROM.format(notice="coalesce(rule.minimum_notice_minutes, notice)")}) AS lo,
                       least(chunk_hi, {_UNTIL.format(horizon="coalesce(rule.horizon_days, horizon)")}) AS hi
                  FROM (SELECT service.at) AS now OFFSET 0) AS bookable
              {taken}
             CROSS JOIN LATERAL (
                SELECT start
                  FROM unnest(h.hours) AS opening
                 CROSS JOIN LATERAL unnest(tstzmultirange(opening) - taken) AS gap
                 CROSS JOIN LATERAL generate_series(
                    date_bin(step, greatest(lower(gap), bookable.lo) - interval '1 microsecond', lower(opening)) + step,
                    least(upper(gap) - duration, bookable.hi - interval '1 microsecond'), step) AS start
                 WHERE opening && tstzrange(chunk_lo, chunk_hi)
                   AND (lacking.location_id IS NULL OR NOT (start <@ lacking.device
                        OR (h.room_id IS NULL AND start <@ lacking.room)))
                 ORDER BY start
                 LIMIT :limit) AS starts
             WHERE :as_staff OR coalesce(rule.self_bookable, true)
             ORDER BY start, h.practitioner_id
         ) AS free
         WHERE chunk_lo < service.hi
         LIMIT :limit
    ) AS first
    ORDER BY start, practitioner_id
    """)


SEARCH = _search_of(ANYBODY, _TAKEN_OF_ALL, SHARED_BOUNDS, WALL_TIMES)
SEARCH_OF_ONE = _search_of(ONE, _TAKEN_OF_ONE, BOUNDS)


def _free_one(kind: str, occupied_by: str) -> str:
    """A room (or device) of this kind at the location that nobody has then; of all, the first by name."""
    return f"""(
            SELECT r.id FROM rooms r
             WHERE r.location_id = h.location_id AND r.kind = {kind} AND r.is_active AND NOT EXISTS (
                   SELECT FROM appointments a
                    WHERE a.{occupied_by} = r.id AND a.occupied && wanted.occupied AND {_OCCUPIES})
             ORDER BY r.name LIMIT 1)"""


# Everything the rules ask about one start with one practitioner, in one row (of the best fitting hours).
_ASKED = f"""
    SELECT service.id, service.name AS service_name, service.step_minutes, service.capacity, service.max_open_in_all,
           service.approval_minutes, service.room_kind, service.device_kind,
           coalesce(rule.minimum_notice_minutes, service.minimum_notice_minutes) AS minimum_notice_minutes,
           coalesce(rule.horizon_days, service.horizon_days) AS horizon_days,
           coalesce(rule.self_bookable, service.self_bookable) AS self_bookable,
           coalesce(rule.max_open_per_patient, service.max_open_per_patient) AS max_open_per_patient,
           coalesce(rule.max_per_day, service.max_per_day) AS max_per_day,
           coalesce(rule.for_patients, service.for_patients) AS for_patients,
           coalesce(rule.needs_referral, service.needs_referral) AS needs_referral,
           coalesce(rule.min_age_years, service.min_age_years) AS min_age_years,
           coalesce(rule.max_age_years, service.max_age_years) AS max_age_years,
           coalesce(rule.needs_approval, service.needs_approval) AS needs_approval,
           now.at AS now, p.id AS practitioner_id, p.is_active AS practitioner_is_active,
           wanted.during, wanted.occupied, best.*, l.id AS place_id, l.time_zone,
           EXISTS (SELECT FROM schedules s JOIN schedule_services o ON o.schedule_id = s.id
                    WHERE s.practitioner_id = p.id AND o.service_id = service.id
                      AND (CAST(:location_id AS uuid) IS NULL OR s.location_id = :location_id)) AS is_offered
      FROM healthcare_services service
      JOIN practitioners p ON p.id = :practitioner_id
      LEFT JOIN practitioner_rules rule ON rule.practitioner_id = p.id AND rule.service_id = service.id
     CROSS JOIN LATERAL (SELECT statement_timestamp() AS at) AS now
     CROSS JOIN LATERAL (
        SELECT CAST(:start AS timestamptz) AS start,
               make_interval(mins => service.duration_minutes) AS duration) AS moment
     CROSS JOIN LATERAL (
        SELECT tstzrange(start, start + duration) AS during,
               tstzrange(start - make_interval(mins => service.buffer_before_minutes),
                         start + duration + make_interval(mins => service.buffer_after_minutes)) AS occupied) AS wanted
      LEFT JOIN LATERAL (
        SELECT h.location_id AS open_at,
               coalesce(h.room_id, {_free_one("service.room_kind", "room_id")}) AS room_id,
               {_free_one("service.device_kind", "device_id")} AS device_id,
               h.hours @> wanted.during AS is_open, closed && wanted.during AS is_closed,
               (busy + busy_elsewhere) && wanted.during AS is_busy, busy && wanted.occupied AS is_buffered,
               busy_elsewhere && wanted.during AS is_busy_elsewhere,
               room_busy && wanted.occupied AS is_room_busy,
               (SELECT extract(epoch FROM start - lower(opening)) % (service.step_minutes * 60) = 0
                  FROM unnest(h.hours) AS opening WHERE opening @> start) AS is_on_step
          FROM ({HOURS.format(lo="moment.start", hi="moment.start", offered=OFFERED, whose=ONE, bounds=BOUNDS)}) AS h
         CROSS JOIN LATERAL (
            SELECT coalesce(range_agg(c.during) FILTER (WHERE c.kind <> 'external'), '{{}}') AS closed,
                   coalesce(range_agg(c.during) FILTER (WHERE c.kind = 'external'), '{{}}') AS busy_elsewhere
              FROM closures c
             WHERE c.during && wanted.during AND {_CLOSED}) AS closures
         CROSS JOIN LATERAL (
            SELECT coalesce(range_agg(a.occupied), '{{}}') AS busy FROM appointments a
             WHERE a.practitioner_id = h.practitioner_id AND a.occupied && wanted.occupied AND {_OCCUPIES}) AS own
         CROSS JOIN LATERAL (
            SELECT coalesce(range_agg(a.occupied), '{{}}') AS room_busy FROM appointments a
             WHERE h.room_id IS NOT NULL AND a.room_id = h.room_id AND a.occupied && wanted.occupied AND {_OCCUPIES}
            ) AS rooms
         ORDER BY h.hours @> wanted.during DESC, closed && wanted.during, room_busy && wanted.occupied
         LIMIT 1) AS best ON true
      LEFT JOIN locations l ON l.id = coalesce(best.open_at, CAST(:location_id AS uuid),
           (SELECT s.location_id FROM schedules s WHERE s.practitioner_id = p.id ORDER BY s.id LIMIT 1))
     WHERE service.id = :service_id AND service.is_active
"""

# `is_free`: no rule about the time forbids it to a patient, which is when `reasons` finds none. `is_plain`: moreover
# nothing is asked about the patient, and nobody has to approve.
FACTS = f"""
    SELECT asked.*,
           is_free AND NOT needs_approval AND for_patients = 'all' AND NOT needs_referral
           AND coalesce(max_open_per_patient, max_open_in_all, max_per_day, min_age_years, max_age_years) IS NULL
               AS is_plain
      FROM (SELECT asked.*, coalesce(
                   is_open AND is_on_step AND capacity = 1
                   AND NOT (is_closed OR is_busy OR is_buffered OR is_room_busy)
                   AND (room_kind IS NULL OR room_id IS NOT NULL) AND (device_kind IS NULL OR device_id IS NOT NULL)
                   AND self_bookable AND lower(during) > now
                   AND lower(during) >= now + make_interval(mins => minimum_notice_minutes)
                   AND lower(during) < now + make_interval(days => horizon_days), false) AS is_free
              FROM ({_ASKED}) AS asked) AS asked
"""
_FACTS = Statement(FACTS)

# Reason codes that a member of staff may set aside with a reason of their own.
OVERRIDABLE = frozenset(
    {"outside-hours", "closure", "not-offered", "notice", "horizon", "limit", "age", "patients", "referral"}
)
TAKEN = frozenset({"busy", "buffer", "room"})


@dataclass(frozen=True)
class FreeTime:
    """A bookable time: [start, end), instants in UTC."""

    start: datetime
    end: datetime
    practitioner_id: UUID
    location_id: UUID
    service_id: UUID

    def as_json(self) -> dict[str, str]:
        """The contract's shape of a free time."""
        return {
            "start": as_instant(self.start),
            "end": as_instant(self.end),
            "practitioner_id": str(self.practitioner_id),
            "location_id": str(self.location_id),
            "service_id": str(self.service_id),
        }


@dataclass(frozen=True)
class Reason:
    """Why a time cannot be booked: a code of the contract and a sentence that names nobody.

    `possible_from`: when this rule would allow it. `blocking`: for staff only, [{type, id, start, end}].
    """

    code: str
    detail: str
    possible_from: datetime | None = None
    blocking: tuple[dict[str, str], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The contract's shape of a reason."""
        out: dict[str, Any] = {"code": self.code, "detail": self.detail}
        if self.possible_from is not None:
            out["possible_from"] = as_instant(self.possible_from)
        if self.blocking:
            out["blocking"] = list(self.blocking)
        return out


def as_instant(value: datetime) -> str:
    """RFC 3339 in UTC."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def search(
    service_id: UUID,
    *,
    from_at: datetime,
    to_at: datetime,
    practitioner_id: UUID | None = None,
    location_id: UUID | None = None,
    limit: int = 50,
    as_staff: bool = False,
    ignore_id: UUID | None = None,
) -> list[FreeTime]:
    """The first `limit` free times of a service with start in [from_at, to_at), in order.

    For patients within the service's notice and horizon (`as_staff` sets these two aside). `ignore_id`:
    an appointment that does not count, because it is the one to be moved. Raises Invalid beyond 62 days.
    """
    if to_at - from_at > timedelta(days=MAX_DAYS + 2):  # 62 local days, in zones apart and across clock changes
        raise Invalid(
            f"Ask for at most {MAX_DAYS} days at once.",
            errors={"to": [f"At most {MAX_DAYS} days after `from`."]},
        )
    rows = (SEARCH if practitioner_id is None else SEARCH_OF_ONE).all(
        {
            "service_id": service_id,
            "practitioner_id": practitioner_id,
            "location_id": location_id,
            "from_at": from_at,
            "to_at": to_at,
            "limit": limit,
            "first_hours": 6 if practitioner_id is None else 24 if limit <= FEW else 8 * 24,
            "as_staff": as_staff,
            "ignore_id": ignore_id,
        },
    )
    return [
        FreeTime(
            clock.local(row.start, "UTC"),
            clock.local(row.end, "UTC"),
            row.practitioner_id,
            row.location_id,
            service_id,
        )
        for row in rows
    ]


def facts(
    service_id: UUID,
    *,
    practitioner_id: UUID,
    start: datetime,
    location_id: UUID | None = None,
    ignore_id: UUID | None = None,
) -> Found:
    """What the rules need to know about one start, in one statement.

    Raises NotVisible when there is no such (active) service or no such practitioner.
    """
    row = _FACTS.first(
        {
            "service_id": service_id,
            "practitioner_id": practitioner_id,
            "location_id": location_id,
            "start": start,
            "ignore_id": ignore_id,
        },
    )
    if row is None:
        raise nothing_like_that()
    return row


def nothing_like_that() -> NotVisible:
    """What to raise where a statement with FACTS found no row."""
    return NotVisible("There is no such service or practitioner.")


def reasons(found: Found, *, start: datetime, actor: Actor, is_session: bool = False) -> list[Reason]:
    """Every rule that forbids this start, from `facts`; empty when it is free for this actor.

    Notice, horizon and "only through the clinic" bind patients; staff may always use them.
    """
    if found.is_free:
        return []
    out: list[Reason] = []
    if not (found.is_offered and found.practitioner_is_active):
        out.append(Reason("not-offered", "This practitioner does not offer this service there."))
    elif not found.is_open:
        out.append(Reason("outside-hours", "The practitioner has no opening hours for this service then."))
    elif not found.is_on_step:
        out.append(Reason("not-offered", f"Times for this service start every {minutes_in_words(found.step_minutes)}."))
    if found.capacity > 1 and not is_session:
        out.append(Reason("not-offered", "This service is held as a group session."))
    if found.is_closed:
        out.append(Reason("closure", "The clinic or the practitioner is away then."))
    if found.is_busy:
        out.append(Reason("busy", "This time is taken."))
    elif found.is_buffered:
        out.append(Reason("buffer", "There is too little time before or after another visit."))
    if found.is_room_busy or (found.room_kind and not found.room_id and found.is_open):
        out.append(Reason("room", "The room is taken then." if found.room_id else "No room for this is free then."))
    if found.device_kind and not found.device_id and found.is_open:
        out.append(Reason("room", "No device for this is free then."))
    if start <= found.now:
        out.append(Reason("notice", "This time is in the past."))
    elif not actor.may("book"):
        out += _for_patients(found, start)
    return out


def _for_patients(found: Found, start: datetime) -> list[Reason]:
    out: list[Reason] = []
    if not found.self_bookable:
        out.append(Reason("not-offered", "Please call the clinic to book this service."))
    zone = found.time_zone or "UTC"
    if start < (first := found.now + timedelta(minutes=found.minimum_notice_minutes)):
        words = minutes_in_words(found.minimum_notice_minutes)
        when = f"{clock.local(first, zone):%-d %B %Y, %H:%M}"
        out.append(Reason("notice", f"This service is booked at least {words} ahead: now from {when} on.", first))
    if start >= found.now + timedelta(days=found.horizon_days):
        first = start - timedelta(days=found.horizon_days)
        sentence = f"This service is booked at most {found.horizon_days} days ahead"
        when = f"{clock.local(first, zone):%-d %B %Y}"
        out.append(Reason("horizon", f"{sentence}: this day can be booked from {when} on.", first))
    return out
