"""How a model attempts a question: the endpoint, the loop, dialects, tools, the sandbox, the ledger and the verdict."""
