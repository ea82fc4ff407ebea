"""Film: a driver's expressions over time, a face followed from frame to frame, rendered films with known truth."""
