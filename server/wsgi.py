"""What gunicorn serves."""

from server.app import create_app
from server.settings import load

app = create_app(load())
