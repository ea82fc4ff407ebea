"""The project's solver against the stock ones, at equal numbers of evaluations of the network."""
