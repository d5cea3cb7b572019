"""One module per family of routes; only these know what the store can list. No route imports another family, but for
what they share.
"""
