"""The way to the cluster: RPC, events from logs, webhooks, building and sending transactions. Nothing here
is stored.
"""
