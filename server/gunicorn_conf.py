"""gunicorn: gevent workers that share what was loaded before they were forked."""

from gevent import monkey

monkey.patch_all()  # before psycopg and redis are imported: their waiting then lets others work

import gc  # noqa: E402
import os  # noqa: E402

gc.disable()  # until everything is loaded: looking for garbage in it would take a fifth of the time to start

worker_class = "gevent"
worker_connections = 1000
preload_app = True
timeout = 30
graceful_timeout = 20
keepalive = 30
max_requests = 0
limit_request_line = 4094
limit_request_fields = 60
limit_request_field_size = 8190
control_socket_disable = True
accesslog = None
errorlog = "-"
forwarded_allow_ips = "127.0.0.1" if int(os.environ.get("PROXY_HOPS") or 0) else ""


def when_ready(server):
    import threading

    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(5)  # one that a library started must not end in a worker, which does not know it
    gc.collect()
    gc.freeze()  # what is loaded stays shared between the workers
    gc.enable()
