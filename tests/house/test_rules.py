"""The rules of the house that can be read off the code or the running app; docs/reference/house.md has the words."""

import ast
import importlib
import pathlib
import re
from collections.abc import Iterator

import pytest
from flask import Flask

from server.admin import words
from server.extensions import db
from server.jobs.timetable import TIMETABLE
from server.services.letters import COMPOSERS
from server.web.guards import GUARDS

ROOT = pathlib.Path(__file__).parents[2]
SERVER = ROOT / "server"
DOORS = ("resources", "admin", "patient")


def sources(*rooms: str) -> Iterator[tuple[pathlib.Path, ast.Module]]:
    for room in rooms or (".",):
        for path in sorted((SERVER / room).rglob("*.py")):
            if not {"migrations", ".venv"} & set(path.parts):
                yield path.relative_to(ROOT), ast.parse(path.read_text(encoding="utf-8"))


def calls(tree: ast.AST, *names: str) -> list[str]:
    """Calls whose dotted name ends with one of `names`."""
    dotted = (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [name for name in dotted if name.endswith(names)]


def test_rule_1_the_factory_is_a_table_of_contents_and_our_errors_come_last() -> None:
    tree = ast.parse((SERVER / "app.py").read_text())
    assert len((SERVER / "app.py").read_text().splitlines()) <= 75
    factory = next(node for node in tree.body if isinstance(node, ast.FunctionDef))
    assert ast.unparse(factory.body[-2]) == "problems.init_app(app)"
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node is not factory]


def test_rule_2_every_door_has_a_guard(app: Flask) -> None:
    unguarded = [
        rule.rule
        for rule in app.url_map.iter_rules()
        if rule.endpoint != "static" and rule.endpoint.rpartition(".")[0] not in GUARDS
    ]
    assert unguarded == []


def test_rule_2_a_door_without_a_guard_stays_shut(app: Flask) -> None:
    """The default is to deny: a blueprint that forgot its guard is not reachable."""
    from flask import Blueprint

    from server.app import create_app
    from tests.clients import Client

    other = create_app(app.config["FRONTDESK"])
    forgotten = Blueprint("forgotten", __name__)
    forgotten.add_url_rule("/forgotten", view_func=lambda: "secret")
    other.register_blueprint(forgotten)
    answer = Client(other, other.response_class).get("/forgotten")
    with other.app_context():
        db.engine.dispose()  # the page of an error looks like the clinic, too
    assert (answer.status_code, "secret" in answer.text) == (404, False)


@pytest.mark.parametrize("name", ["admin/admin_routes.py", "patient/patient_routes.py"])
def test_rule_2_a_route_file_lists_doors_and_nothing_else(name: str) -> None:
    tree = ast.parse((SERVER / name).read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.If)]


@pytest.mark.parametrize("door", DOORS)
def test_rules_3_and_5_a_door_never_touches_the_database_itself(door: str) -> None:
    offenders = [
        str(path)
        for path, tree in sources(door)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.module == "server.extensions"
        and "db" in {a.name for a in node.names}
    ]
    assert offenders == []


def test_rule_4_one_file_commits() -> None:
    offenders = [
        f"{path}: {call}"
        for path, tree in sources()
        if path.name not in ("transaction.py", "env.py")
        for call in calls(tree, "session.commit", "session.rollback")
    ]
    assert offenders == []


def test_rule_7_every_error_has_a_status_and_a_slug_of_its_own() -> None:
    from server.errors import DomainError

    for path, _ in sources("services", "web"):
        importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))

    def below(kind: type[DomainError]) -> Iterator[type[DomainError]]:
        for child in kind.__subclasses__():
            yield child
            yield from below(child)

    for kind in below(DomainError):
        assert 400 <= kind.status < 600
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.slug), kind
        assert kind.__doc__, f"{kind.__name__} needs a sentence"


def test_rule_8_tasks_carry_names_and_ids_only() -> None:
    """C8 and trap 20: no task takes more than a name, none is put off by more than five minutes."""
    for path, tree in sources("jobs"):
        for node in ast.walk(tree):
            if not (
                isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("send_task", "delay", "apply_async"))
            ):
                continue
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            assert "eta" not in given, path
            countdown = given.get("countdown")
            assert countdown is None or (isinstance(countdown, ast.Constant) and countdown.value <= 300), path


def test_rule_9_a_letter_is_a_folder_of_three_files() -> None:
    folders = {
        folder.name: {file.name for file in folder.iterdir()}
        for folder in (SERVER / "templates/email").iterdir()
        if folder.is_dir()
    }
    assert set(folders) == set(COMPOSERS)
    by_mail, as_text = {"subject.txt", "body.txt", "body.html"}, {"sms.txt"}
    assert all(files in (by_mail, by_mail | as_text) for files in folders.values()), folders


def test_rule_10_what_happens_by_itself_is_one_table() -> None:
    assert len({job.name for job in TIMETABLE}) == len(TIMETABLE)
    assert all(job.every_seconds >= 10 and job.what for job in TIMETABLE)


def test_rule_11_time_comes_through_one_door() -> None:
    offenders = [
        f"{path}: {call}"
        for path, tree in sources()
        if path != pathlib.Path("server/utils/clock.py")
        for call in calls(tree, "datetime.now", "datetime.utcnow", "date.today", "datetime.today")
    ]
    assert offenders == []


def test_files_stay_short() -> None:
    long = {str(path): count for path, _ in sources() if (count := len((ROOT / path).read_text().splitlines())) > 500}
    assert long == {}


def test_every_setting_stands_in_the_example() -> None:
    from dataclasses import fields

    from server.settings import Settings

    example = set(re.findall(r"^([A-Z_]+)=", (SERVER / ".env.example").read_text(), re.M))
    assert example == {field.name.upper() for field in fields(Settings)} - {"DEMO"}


def test_the_rules_catch_what_they_are_for() -> None:
    """The negative control of the readers above."""
    bad = ast.parse("db.session.commit()\nwhen = datetime.now()\ntask.apply_async(eta=later)")
    assert calls(bad, "session.commit") == ["db.session.commit"]
    assert calls(bad, "datetime.now") == ["datetime.now"]
    assert calls(bad, "apply_async") == ["task.apply_async"]


def test_every_letter_has_a_name_in_words_for_staff() -> None:
    assert set(COMPOSERS) <= set(words.LETTERS)
