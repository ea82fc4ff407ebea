"""The command `encoders`: how well recognisers, expression encoders and detectors do on people nobody trained on."""
