"""What `new` and `init` write."""

from __future__ import annotations

JOB = '''"""{title}"""

config = {{
    "name": {name},
    "schedule": {schedule},{comment}
}}


def default(container):
    """Called for each run; what it returns (JSON) is kept as the run's result."""
    logger = container.resolve("logger")
    logger.info("nothing to do yet")
'''

HELLO = '''"""Say hello, to see that it works."""

config = {
    "name": "hello",
    "schedule": "* * * * *",  # each minute; `jobrunner next hello` shows when
}


def default(container):
    """Called at each due moment; what it returns (JSON) is kept as the run's result."""
    logger = container.resolve("logger")
    logger.info("hello")
    return {"greeted": 1}
'''

SETTINGS = """# Settings of this project. The command line and JOBRUNNER_... variables win over them.
# Remove the # of what you want to change.

# timezone: Europe/Berlin      # of schedules that name none; default: the system's
# jobs: [jobs]                 # folders with job files
# slots: 4                     # how many runs at once; default: one per core, at least 4
# grace: 30s                   # how long runs may go on when `jobrunner start` is told to stop

# settings:                    # your own values: container.resolve("settings")
#   warehouse: https://warehouse.example

# services:                    # your own services: name -> package.module:factory
#   database: app.database:connect

# jobs:                        # in place of the list above: change single jobs
#   hello:
#     schedule: "0 9 * * *"
"""

IGNORE = ".jobrunner/\n"
