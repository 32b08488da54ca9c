"""The harness: what measures. The programs that are measured live in `workloads/`, the command in `run.py`.

    run.py -> rounds.py -> child.py (a fresh process a measurement) -> workloads/* under a `Meter`
           -> ratios.py -> terminal.py, markdown.py, plot.py

Nothing in here may be imported by a workload except `meter`, `spec` and `load`: a workload is a small program whose
imports are part of the process under test.
"""
