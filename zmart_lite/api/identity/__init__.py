"""Who asks, and how often they may: sessions, signed messages, service keys, rate limits. What they ask for is not
known here.
"""
