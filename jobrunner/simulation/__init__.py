"""A NODE WITHOUT PROCESSES, in a time of its own: what would happen, by the code that makes it happen.

The scheduler, the plan, the dispatcher and the store are the ones of `start`. Not real are the clock, which
goes from one event to the next, and the bodies: they take as long as they are said to take.

    clock       a clock that is moved by hand
    jobs        of a project, or of configs alone: what to simulate, and where it stands
    node        one node: a store, a scheduler, a dispatcher, an executor
    standins    bodies that do nothing, for as long as they are said to take
    run         what is asked for, and what it comes to
    engine      from event to event
    inside      bodies in this very process
    children    bodies in processes of their own
    preview     the schedule alone: no store, no runs
    timeline    what came of it
"""
