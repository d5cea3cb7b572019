"""Connections that stay open: WebSocket and event streams, their commands, snapshots and resuming. Plain requests do
not belong here.
"""
