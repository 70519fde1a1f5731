"""One bare instance of each extension; the factory binds them to the app."""

from typing import Any

import psycopg
from flask_bootstrap import Bootstrap5
from flask_caching import Cache
from flask_cors import CORS
from flask_jwt_extended import JWTManager
from flask_mailman import Mail
from flask_security import Security
from flask_smorest import Api
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from psycopg.pq import TransactionStatus
from sqlalchemy import MetaData, event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.pool import Pool

# Every constraint gets the same name on every machine, so that a migration can find it again.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)


class Connection(psycopg.Connection[Any]):
    """One whose prepared statements, and with them their plans, outlive a rollback.

    psycopg forgets them each time, in case a table was taken back with it. Here only migrations make tables, and every
    request that only reads ends in a rollback: it would plan each statement anew, which takes longer than to run it.
    """

    def rollback(self) -> None:
        with self.lock:
            if self.pgconn.transaction_status != TransactionStatus.IDLE:
                self.wait(self._exec_command(b"ROLLBACK"))


@event.listens_for(Engine, "do_connect")
def _connect(_dialect: Any, _record: Any, arguments: list[Any], named: dict[str, Any]) -> Connection:
    return Connection.connect(*arguments, **named)


def demand_line(driver: Any, _record: Any, _fairy: Any) -> None:
    """A connection whose server has ended since is replaced before it is used, without asking the server anything."""
    try:
        for _ in range(2):  # its last words, and then the end of the line
            driver.pgconn.consume_input()
    except psycopg.OperationalError as error:
        raise DisconnectionError("The database was restarted.") from error


event.listen(Pool, "checkout", demand_line)

# After the commit of a command its door shows what it read; with expiry each row would be fetched once more.
db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})
security = Security()
jwt = JWTManager()
api = Api()
cors = CORS()
csrf = CSRFProtect()
cache = Cache()
mail = Mail()
bootstrap = Bootstrap5()
