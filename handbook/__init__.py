"""The handbook: what of the documentation is made by machine, and the site that all of it becomes.

::

    docs/README.md ──> site         the pages as a site, its navigation read from that index
    the program    ──> reference    pages that nobody writes by hand: commands, fields of calls, the drawing of imports
"""
