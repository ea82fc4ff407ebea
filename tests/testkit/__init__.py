"""What only tests and the makers of pages and benchmarks share: browser, suites, tiny networks and data."""
