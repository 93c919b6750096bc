"""The use cases, one module a verb: a request in, a result out. No printing, no command line."""
