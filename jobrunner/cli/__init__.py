"""The command line: one file a family of commands, which ask and print and decide nothing.

app.py         the group: what commands there are, loaded when they are called; what an error looks like
asking.py      the options that every command takes, and what they open: settings, jobs, state
start.py       start; startup.py does it, banner.py is what it says first
look.py        ls
coming.py      next
past.py        history, show
following.py   show -f
logs.py        logs
waiting.py     pending
byhand.py      run
dryrun.py      run --dry-run
execute.py     exec
checking.py    check
files.py       new, init; templates.py has what they write
completion.py  completion
live.py        the live view of start
canvas.py      a block of lines at the foot of a terminal, drawn again in place
report.py      what is known of a job: its file's word, and the state's
board.py       the same for all jobs, as lines of a list and as JSON
nodes.py       other processes: those not heard of, and those that want to be alone
params.py      -p and --params: typed, listed, completed
jsonout.py     runs and problems as JSON objects
moments.py     times as people type them
render.py      tables, times and sentences for people
out.py         writing to stdout and stderr, whatever is at the other end
"""
