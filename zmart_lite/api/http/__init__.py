"""Sockets and the HTTP protocol: connections, headers, addresses, files as they are sent. Nothing here knows a market,
a wallet or a route.
"""
