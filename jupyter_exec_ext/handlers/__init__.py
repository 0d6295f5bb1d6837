"""The REST contract: one file per resource, `base` with what they share, `routes` with the table.

`rest-api.yml` in this folder is the OpenAPI document of the same table; a test holds one against
the other. Handlers read the request, make one call and write JSON: they know status codes and
nothing of processes.
"""
