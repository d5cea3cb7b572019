"""The OpenAPI document and its words, made from the declarations of routes. Nothing here answers a request but with
that document.
"""
