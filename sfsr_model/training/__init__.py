"""Training of the autoencoder, the UNet and the demo encoders."""
