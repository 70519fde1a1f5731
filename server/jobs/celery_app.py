"""Celery, configured so that losing all it knows loses nothing: tasks carry ids at most, rows are the promise."""

from celery import Celery
from kombu.transport.redis import Channel

# When Redis goes away, kombu wants to put back what was not acknowledged yet, over a connection that it has closed by
# then, and the worker dies of it. A wake-up call that is lost is one of many.
Channel.do_restore = False

celery = Celery("frontdesk", include=["server.jobs.tasks"])


def configure(redis_url: str) -> None:
    """Point Celery at the broker. Publishing gives up at once when it is away: the clock's sweep follows."""
    celery.conf.update(
        broker_url=redis_url,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "socket_timeout": 2,
            "socket_connect_timeout": 1,
            "visibility_timeout": 600,
        },
        task_publish_retry=False,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_default_queue="letters",
        task_soft_time_limit=240,
        task_time_limit=300,
        worker_prefetch_multiplier=1,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        timezone="UTC",
    )
