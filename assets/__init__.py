"""The asset graph, one file a stage. Assets are thin: they read tables, call a room below, and return tables."""
