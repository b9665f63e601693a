"""The operator's TLS port: a certificate that it makes for itself, and the APIs that the API server calls there."""
