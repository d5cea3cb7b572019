"""What the node does by itself: recording votes on chain, moving markets on, polling; and the runner that says when."""

from zmart_lite.jobs.actions import Actions, Keys
from zmart_lite.jobs.runner import Job, JobRunner, Summary
from zmart_lite.jobs.table import JobParts, Jobs

__all__ = ["Actions", "Job", "JobParts", "JobRunner", "Jobs", "Keys", "Summary"]
