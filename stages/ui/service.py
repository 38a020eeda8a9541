"""The server's data: records in the database, files in the home folder, jobs. It computes nothing itself."""

from __future__ import annotations

from .database import Database
from .events import Broadcaster
from .home import Home
from .job_outcomes import JobOutcomes
from .job_params import JobParams
from .jobs import JobQueue
from .live.line import LiveLine
from .recordings import Recordings
from .results import Results
from .settings import ServerSettings
from .songs import Songs
from .takes import Takes
from .voices import Voices


class Service:
    """One home folder, served."""

    def __init__(self, settings: ServerSettings):
        self.settings = settings
        self.home = Home.open(settings.home)
        self.database = Database(self.home.database)
        self.broadcaster = Broadcaster(settings.streams)
        shared = (self.home, self.database, self.broadcaster)
        self.jobs = JobQueue(
            self.database,
            self.broadcaster,
            settings,
            lambda job: self.params(job),
            lambda job, item: self.outcomes.item(job, item),
            lambda job: self.outcomes.follow(job),
        )
        self.voices = Voices(*shared, self.jobs)
        self.recordings = Recordings(*shared, self.voices)
        self.takes = Takes(*shared)
        self.songs = Songs(*shared, self.jobs, self.voices)
        self.results = Results(*shared)
        self.live = LiveLine(settings, self.voices)
        self.params = JobParams(settings, self.voices, self.recordings, self.songs, self.takes)
        self.outcomes = JobOutcomes(self.params, self.results)

    def start(self) -> None:
        """Start the job queue."""
        self.jobs.start()

    def stop(self) -> None:
        """Stop the job queue, and close the database."""
        self.broadcaster.close()
        self.jobs.stop()
        self.database.close()
