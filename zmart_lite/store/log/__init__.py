"""What happened, in order, as rows that are appended: deliveries, transactions, events, the feed, and the figures
counted from them. What holds now does not belong here.
"""
