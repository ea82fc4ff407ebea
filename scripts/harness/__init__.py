"""What the demo and the tests share: environment, host, server, client, graphs, page."""
