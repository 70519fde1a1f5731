"""Celery, configured so that losing all it knows loses nothing: tasks carry ids at most, rows are the promise."""

from dataclasses import dataclass

from celery import Celery
from kombu.transport.redis import Channel

# When Redis goes away, kombu wants to put back what was not acknowledged yet, over a connection that it has closed by
# then, and the worker dies of it. A wake-up call that is lost is one of many.
Channel.do_restore = False

from server.services.runs import BULK, LETTERS, NOW

celery = Celery("frontdesk", include=["server.jobs.tasks"])


@dataclass(frozen=True)
class Queue:
    """`concurrency`: processes unless told. Seconds until a task is asked to end, and until it is ended."""

    concurrency: int
    soft_seconds: int
    hard_seconds: int


# What people wait for never stands behind what takes long: each queue has processes of its own.
QUEUES = {
    NOW: Queue(concurrency=2, soft_seconds=110, hard_seconds=120),
    LETTERS: Queue(concurrency=2, soft_seconds=240, hard_seconds=300),
    BULK: Queue(concurrency=2, soft_seconds=240, hard_seconds=300),
}
MEMORY_KB = 400_000  # of one process; one that has grown beyond it ends after its task


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
        task_default_queue=LETTERS,
        # Acknowledged before it runs: one that kills its worker is not run again and again by the broker. What it
        # left undone stands in rows, and the clock asks for it.
        task_acks_late=False,
        task_soft_time_limit=240,  # of a task that was sent without those of its queue
        task_time_limit=300,
        worker_max_memory_per_child=MEMORY_KB,
        worker_prefetch_multiplier=1,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        timezone="UTC",
    )
