"""Units of work that change rows and tell clients in the same transaction: messages of the feed, ballots, posts. The
only place that needs both what is written and how it is shown.
"""
