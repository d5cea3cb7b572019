"""What holds now, and the units that write it: markets, positions, votes, people, intents, alerts. How a row looks to
clients is not known here.
"""
