"""The soak: everything that the loop can do, mixed, under random resets, time-outs and cancellations, for minutes.

    make soak                             # 10 minutes, compiled
    make soak ARGS='--minutes 1 --pure'
    make soak ARGS='--seed 7 --only tls,udp'

What lives here: the work (`work`, `talk`), what is measured and judged (`flat`), the command line (`__main__`). What may not: a
test of behaviour: a round may end by any error that its fate explains. What must hold is that nothing else goes wrong, and that
when the work rests everything is as it was before: counters, descriptors, threads, children, objects and memory.

Rule for the editor: a round starts and ends on its own (a worker runs it again and again), takes its chances from the `random`
that it is given, and leaves nothing when it is cancelled at any await.
"""
