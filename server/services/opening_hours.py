"""Opening hours as instants, in SQL that other statements are built from.

Hours are wall time; PostgreSQL makes them instants with the location's zone (a bound that a clock change repeats
means its second reading, one that it skips moves forward by the gap) and joins adjoining hours into a multirange.
"""

# Opening hours of [:lo, :hi) as multiranges, one row for each practitioner, location and room. A zone is at
# most 14 hours from UTC, so the local dates of a span lie within one day of its UTC dates.
HOURS = """
    SELECT s.practitioner_id, s.location_id, s.room_id, range_agg(tstzrange(bound.lo, bound.hi)) AS hours
      FROM (SELECT at_midnight::date AS on_date, extract(isodow FROM at_midnight)::integer AS weekday
              FROM generate_series(({lo} AT TIME ZONE 'UTC')::date - 1, ({hi} AT TIME ZONE 'UTC')::date + 1,
                                   interval '1 day') AS at_midnight) AS local_day
      JOIN schedules s ON s.weekday = local_day.weekday
       AND on_date >= s.valid_from AND (s.valid_until IS NULL OR on_date <= s.valid_until)
       AND (s.every_n_weeks = 1 OR  -- counted from Monday to Monday
            ((on_date - local_day.weekday) - (s.valid_from - extract(isodow FROM s.valid_from)::integer))
            / 7 % s.every_n_weeks = 0)
      {offered}
      JOIN practitioners p ON p.id = s.practitioner_id AND p.is_active
      JOIN locations l ON l.id = s.location_id AND l.is_active
      {bounds}
     WHERE {whose}
       AND (CAST(:location_id AS uuid) IS NULL OR s.location_id = :location_id)
       AND bound.lo < bound.hi
     GROUP BY s.practitioner_id, s.location_id, s.room_id
"""

# Wall time as instants, for each row of hours; the fence has it worked out once. A thousand practitioners have the
# same few opening times: for the search of everybody each is worked out once for all of them, from `wall_times`.
BOUNDS = """CROSS JOIN LATERAL (SELECT (on_date + s.starts_at) AT TIME ZONE l.time_zone AS lo,
                                (on_date + s.ends_at) AT TIME ZONE l.time_zone AS hi
                         OFFSET 0) AS bound"""
SHARED_BOUNDS = """JOIN LATERAL (
            SELECT w.*, (on_date + w.starts_at) AT TIME ZONE w.time_zone AS lo,
                   (on_date + w.ends_at) AT TIME ZONE w.time_zone AS hi
              FROM wall_times w OFFSET 0) AS bound
        ON (bound.time_zone, bound.starts_at, bound.ends_at) = (l.time_zone, s.starts_at, s.ends_at)"""
WALL_TIMES = """wall_times AS MATERIALIZED (
        SELECT DISTINCT s.starts_at, s.ends_at, l.time_zone
          FROM schedules s JOIN locations l ON l.id = s.location_id),"""

OFFERED = "JOIN schedule_services offered ON offered.schedule_id = s.id AND offered.service_id = :service_id"
# A plan that is kept can use no index for a condition that is sometimes NULL; so whoever is hurried has two.
ONE, ANYBODY = "s.practitioner_id = :practitioner_id", "CAST(:practitioner_id AS uuid) IS NULL"
ONE_OR_ANYBODY = f"({ONE} OR {ANYBODY})"

_WHATEVER_FOR = HOURS.format(
    lo="CAST(:from_at AS timestamptz)",
    hi="CAST(:to_at AS timestamptz)",
    offered="",
    whose=ONE_OR_ANYBODY,
    bounds=BOUNDS,
)

# Hours of [:from_at, :to_at) whatever they are for, one row for each practitioner; for the day board.
OPENING_HOURS = f"""
    SELECT h.practitioner_id, range_agg(opening) AS hours
      FROM ({_WHATEVER_FOR}) AS h
     CROSS JOIN LATERAL unnest(h.hours) AS opening
     GROUP BY h.practitioner_id
"""

# Hours for appointment `a`: for its service, with its practitioner, at its location.
HOURS_OF_APPOINTMENT = HOURS.format(
    lo="lower(a.during)",
    hi="upper(a.during)",
    offered="JOIN schedule_services offered ON offered.schedule_id = s.id AND offered.service_id = a.service_id",
    whose="s.practitioner_id = a.practitioner_id AND s.location_id = a.location_id",
    bounds=BOUNDS,
)

# Opening hours of [:from_at, :to_at) whatever they are for, one row for each practitioner and location, by opening.
OPENINGS = f"""
    SELECT h.practitioner_id, h.location_id, opening
      FROM ({_WHATEVER_FOR}) AS h
     CROSS JOIN LATERAL unnest(h.hours * tstzmultirange(tstzrange(:from_at, :to_at))) AS opening
"""
