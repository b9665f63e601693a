"""What to scale to: samples of the engines' queues -> window -> demand in replicas. Pure: time is an argument, in seconds since the epoch."""
