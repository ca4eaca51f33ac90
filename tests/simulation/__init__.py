"""Whole nodes in a world that one integer moves: `python -m tests.simulation` (docs/testing.md, Simulation).

script      what a seed draws: jobs, machines, habits, a list of events
history     lives through it; `acts` has what each event does, `rest` says when nothing is left to do
world       time, machines, disks, people; from moment to moment somebody goes on
player      a node: the real loop, dispatcher, scheduler, joining and recovery, in a thread of its own
actors      threads of which one runs at a time
stage       what the node finds instead of its machine
bodies      processes that the seed moves, and what they were really seen to do
database    the real store, on whose borders nodes die, stall and fail
journal     the state's own diary, written by triggers
contract    THE RULES; `evidence` is what they look at, `accounts` reckons anew what was due
shrink      which events a broken history does not need
"""
