"""Models before an engine runs: `inspect` reads what is known of one without its weights, `fetch` fills a cache with it.

Runs in the runtime's image, where the extra `inspect` is installed; nothing of it is in the archive that the engine's Python runs. Only a store knows where a
model lies; whoever inspects or fetches knows the protocol (store.Store) alone. docs/model-inspection.md is the contract with the operator.
"""
