"""The live feed as clients see it: channels, envelopes, and the Hub from which every connection gets its messages."""
