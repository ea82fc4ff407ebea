"""The command `photos`: how well a checkpoint makes the person and the expression that were asked for, on photographs."""
