"""The programs inside the walls. They run by path in a bare interpreter and import the standard library and each other.

`fork_server.py` imports the libraries once and forks a session for every request; `confine.py` gives a session its
namespaces and takes its privileges; `worker.py` runs its cells. No code of a model ever runs in the fork server.
"""
