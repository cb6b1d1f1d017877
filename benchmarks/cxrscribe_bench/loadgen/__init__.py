"""MLPerf LoadGen on our runtime: scenarios, and who answers their queries."""
