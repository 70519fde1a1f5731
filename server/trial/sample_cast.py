"""Who and what the sample clinic consists of. Invented people; addresses and numbers that belong to nobody."""

from dataclasses import dataclass
from datetime import date, time

CLINIC = "Meridian Clinics"
NEW_YORK, LISBON = "Riverside Clinic", "Clínica da Alfama"
PASSWORD = "frontdesk-demo-1"

# In turn: what patients of a place like to be written to in; Portuguese is one that we do not write.
LANGUAGES = {NEW_YORK: ("en", "es", "en", "ar"), LISBON: ("pt", "en", "fr", "de")}

LOCATIONS = (
    {
        "name": NEW_YORK,
        "time_zone": "America/New_York",
        "address": "120 Riverside Drive, New York, NY 10024",
        "phone": "+1 212 555 0100",
        "country": "US",
        "region": "NY",
    },
    {
        "name": LISBON,
        "time_zone": "Europe/Lisbon",
        "address": "Rua de São Miguel 14, 1100-544 Lisboa",
        "phone": "+351 210 000 100",
        "country": "PT",
        "region": "",
    },
)

ROOMS = (
    (NEW_YORK, "Exam 1", "exam"),
    (NEW_YORK, "Exam 2", "exam"),
    (NEW_YORK, "Exam 3", "exam"),
    (NEW_YORK, "Treatment room", "treatment"),
    (LISBON, "Exam 1", "exam"),
    (LISBON, "Physiotherapy room", "treatment"),
    (LISBON, "Procedure room", "procedure"),
    (LISBON, "Ultrasound", "device"),
)


def _service(name: str, minutes: int, step: int, description: str, **rules: int | bool) -> dict[str, object]:
    """A row of healthcare_services; every rule is written, so that all rows go in with one statement."""
    defaults: dict[str, object] = {
        "buffer_before_minutes": 0,
        "buffer_after_minutes": 0,
        "minimum_notice_minutes": 60,
        "horizon_days": 90,
        "cancel_cutoff_minutes": 240,
        "self_bookable": True,
        "max_open_per_patient": None,
        "capacity": 1,
        "needs_approval": False,
    }
    row = {"name": name, "duration_minutes": minutes, "step_minutes": step, "description": description}
    return row | defaults | rules


SERVICES = (
    _service("General consultation", 20, 20, "A visit to your family doctor."),
    _service(
        "First visit",
        40,
        20,
        "For new patients: time to get to know you. Please bring your medication list.",
        minimum_notice_minutes=240,
        cancel_cutoff_minutes=1440,
        max_open_per_patient=1,
    ),
    _service("Follow-up", 10, 10, "A short visit about something we have already seen you for."),
    _service("Vaccination", 10, 10, "Travel, flu and childhood vaccinations.", horizon_days=120),
    _service(
        "Blood test",
        10,
        10,
        "Please come fasting, and drink water.",
        buffer_after_minutes=5,
        minimum_notice_minutes=720,
        cancel_cutoff_minutes=120,
    ),
    _service("Child check-up", 30, 15, "Growth, development and vaccinations, from birth to 16 years."),
    _service("Skin check", 20, 20, "A look at moles and other changes of the skin.", horizon_days=60),
    _service(
        "Ultrasound",
        30,
        30,
        "Abdomen, thyroid or joints. Bring the referral.",
        buffer_before_minutes=5,
        buffer_after_minutes=10,
        minimum_notice_minutes=1440,
        cancel_cutoff_minutes=1440,
        needs_approval=True,
    ),
    _service("Balance class", 60, 60, "Exercises in a small group that keep you from falling.", capacity=8),
    _service(
        "Physiotherapy",
        45,
        15,
        "One session; wear something comfortable.",
        buffer_after_minutes=15,
        cancel_cutoff_minutes=1440,
        max_open_per_patient=6,
    ),
    _service(
        "Minor surgery",
        60,
        30,
        "Small procedures under local anaesthesia, agreed with your doctor first.",
        buffer_after_minutes=30,
        minimum_notice_minutes=2880,
        horizon_days=180,
        cancel_cutoff_minutes=2880,
        self_bookable=False,
    ),
)


@dataclass(frozen=True)
class Hours:
    """Weekly hours: ISO weekdays, wall times, place and what is offered in them."""

    weekdays: str
    starts_at: time
    ends_at: time
    services: tuple[str, ...]
    room: str | None = None
    every_n_weeks: int = 1


@dataclass(frozen=True)
class Person:
    """A practitioner of the sample clinic. `busy`: the share of the hours that is booked on an ordinary day."""

    name: str
    specialty: str
    languages: tuple[str, ...]
    location: str
    busy: float
    hours: tuple[Hours, ...]


def _at(hours: int, minutes: int = 0) -> time:
    return time(hours, minutes)


FAMILY_DOCTOR = ("General consultation", "First visit", "Follow-up", "Vaccination")

DR_CHO = "Dr. Mina Cho"
PRACTITIONERS = (
    Person(
        DR_CHO,
        "Family medicine",
        ("en", "ko"),
        NEW_YORK,
        0.5,
        (
            Hours("12345", _at(9), _at(12, 20), FAMILY_DOCTOR, "Exam 1"),
            Hours("12345", _at(13, 20), _at(17), FAMILY_DOCTOR, "Exam 1"),
            Hours("67", _at(9), _at(12), ("General consultation", "Follow-up", "Vaccination"), "Exam 1"),
        ),
    ),
    Person(
        "Dr. Samuel Ortiz",
        "Dermatology",
        ("en", "es"),
        NEW_YORK,
        0.5,
        (
            Hours("1245", _at(10), _at(13), ("Skin check", "Follow-up"), "Exam 2"),
            Hours("1245", _at(14), _at(18), ("Skin check", "Follow-up"), "Exam 2"),
            Hours("6", _at(9), _at(13), ("Skin check",), "Exam 2", every_n_weeks=2),
        ),
    ),
    Person(
        "Dr. Grace Adeyemi",
        "Paediatrics",
        ("en", "fr"),
        NEW_YORK,
        0.5,
        (
            Hours("12357", _at(8, 30), _at(12, 30), ("Child check-up", "Vaccination", "Follow-up"), "Exam 3"),
            Hours("1235", _at(13), _at(16), ("Child check-up", "Vaccination", "Follow-up"), "Exam 3"),
        ),
    ),
    Person(
        "Tom Becker, RN",
        "Nursing",
        ("en", "de"),
        NEW_YORK,
        0.35,
        (
            Hours("1234567", _at(8), _at(12), ("Blood test", "Vaccination"), "Treatment room"),
            Hours("135", _at(13), _at(16), ("Blood test", "Vaccination"), "Treatment room"),
        ),
    ),
    Person(
        "Dr. Inês Carvalho",
        "Family medicine",
        ("pt", "en"),
        LISBON,
        0.65,
        (
            Hours("12345", _at(9), _at(13), FAMILY_DOCTOR, "Exam 1"),
            Hours("12345", _at(14), _at(18), FAMILY_DOCTOR, "Exam 1"),
            Hours("6", _at(9), _at(13), FAMILY_DOCTOR, "Exam 1"),
        ),
    ),
    Person(
        "Dr. Rui Tavares",
        "Surgery",
        ("pt", "en", "es"),
        LISBON,
        0.6,
        (
            Hours("24", _at(9), _at(13), ("Minor surgery", "Skin check"), "Procedure room"),
            Hours("357", _at(14), _at(19), ("General consultation", "Skin check", "Follow-up")),
            Hours("1", _at(9), _at(14), ("Minor surgery",), "Procedure room", every_n_weeks=2),
        ),
    ),
    Person(
        "Sofia Matos",
        "Physiotherapy",
        ("pt", "en", "fr"),
        LISBON,
        0.65,
        (
            Hours("123467", _at(9), _at(13), ("Physiotherapy",), "Physiotherapy room"),
            Hours("1234", _at(14), _at(18), ("Physiotherapy",), "Physiotherapy room"),
            Hours("5", _at(10), _at(12), ("Balance class",), "Physiotherapy room"),
        ),
    ),
    Person(
        "Dr. Lena Brandt",
        "Radiology",
        ("de", "en", "pt"),
        LISBON,
        0.55,
        (
            Hours("13567", _at(9), _at(14), ("Ultrasound",), "Ultrasound"),
            Hours("24", _at(14), _at(18, 30), ("Ultrasound",), "Ultrasound"),
        ),
    ),
)


@dataclass(frozen=True)
class Account:
    """A demo account, as the product's contract names it."""

    email: str
    name: str
    role: str
    what: str
    birth_date: date | None = None  # given: there is a patient of this name, too
    phone: str = ""


ANA, CARL = "ana@example.com", "carl@example.com"
DR_CHO_EMAIL, DANA = "dr.cho@example.com", "dana@example.com"
ACCOUNTS = (
    Account("olga@example.com", "Olga Lindqvist", "administrator", "administrator"),
    Account(DANA, "Dana Whitfield", "front-desk", "front desk"),
    Account(DR_CHO_EMAIL, DR_CHO, "practitioner", "practitioner"),
    Account(ANA, "Ana Ribeiro", "patient", "patient", date(1987, 4, 12), "+1 212 555 0141"),
    Account("bea@example.com", "Bea Novak", "patient", "patient", date(1994, 11, 3), "+1 212 555 0142"),
    Account(CARL, "Carl Ribeiro", "patient", "proxy of ana"),
)

# Given and family names are drawn from these, by location.
NAMES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    NEW_YORK: (
        (
            *("Amara", "Benjamin", "Chloe", "Daniel", "Elena", "Farid", "Gloria", "Henry", "Imani", "Jonah", "Kavya"),
            *("Liam", "Maya", "Nathan", "Olivia", "Priya", "Quentin", "Rosa", "Simon", "Talia", "Victor", "Wanda"),
        ),
        (
            *("Abbott", "Bauer", "Chen", "Diaz", "Ellison", "Fischer", "Goldberg", "Hughes", "Iqbal", "Johnson"),
            *("Kowalski", "Lopez", "Murphy", "Nguyen", "O'Brien", "Patel", "Quinn", "Rossi", "Schwartz", "Tanaka"),
        ),
    ),
    LISBON: (
        (
            *("Afonso", "Beatriz", "Catarina", "Diogo", "Eduardo", "Filipa", "Gonçalo", "Helena", "Inês", "João"),
            *("Leonor", "Mariana", "Nuno", "Otávio", "Patrícia", "Rafael", "Sara", "Tiago", "Vasco", "Yara"),
        ),
        (
            *("Almeida", "Barbosa", "Castro", "Duarte", "Esteves", "Fonseca", "Gomes", "Henriques", "Leal", "Lopes"),
            *("Machado", "Neves", "Oliveira", "Pinto", "Queirós", "Ramos", "Santos", "Teixeira", "Vieira", "Xavier"),
        ),
    ),
}
PATIENTS_PER_LOCATION = 140
