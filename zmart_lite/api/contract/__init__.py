"""What a route, a request, a field, a page and an error are. No route is here, and nothing that needs the database to
be decided.
"""
