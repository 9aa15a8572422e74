"""Everything that is asked, in the order of the page."""

from __future__ import annotations

from questions import (
    alone,
    bufferbloat,
    fairness,
    forward,
    importing,
    in_process,
    iterate,
    latency,
    memory,
    offload,
    queues,
    scaling,
    write,
)

QUESTIONS = (
    iterate.QUESTION,
    write.QUESTION,
    forward.QUESTION,
    latency.QUESTION,
    offload.QUESTION,
    in_process.QUESTION,
    scaling.INTERFACES_QUESTION,
    scaling.FLOWS_QUESTION,
    queues.QUESTION,
    fairness.QUESTION,
    memory.QUESTION,
    importing.QUESTION,
    bufferbloat.QUESTION,
    *alone.QUESTIONS,
)
