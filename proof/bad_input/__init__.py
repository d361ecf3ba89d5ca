"""Bad input: hundreds of odd values, put into every field, header, path and query of the running server."""
