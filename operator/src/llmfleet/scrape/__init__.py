"""Reads the engines: their queues (`/metrics/`) and the launchers' reports (`/report`), bounded in time, size and number at once."""
