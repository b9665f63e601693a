"""The process: settings, watch streams, health, telemetry, wiring."""
