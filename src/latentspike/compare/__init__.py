"""Every model under one protocol."""
