"""Training losses as pure functions; they import only torch."""
