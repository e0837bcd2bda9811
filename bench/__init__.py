"""How fast jitgate is, as ratios within one run on one machine: ``make bench``.

Every figure is measured beside the thing that it is compared with, in turns, so that what else the machine does
falls on both. What is measured and why is in docs/reference/performance.md.
"""
