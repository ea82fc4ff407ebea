"""What guidance of x0* is worth: people and expressions that the network is not told of, reached by gradients alone."""
