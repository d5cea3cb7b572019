"""The database itself: connections, units of work, migrations, copies, pages and amounts. The only place that knows
which database it is; no table of the protocol is known here.
"""
