"""The only place that touches ComfyUI's internals; the nodes above it use the public API alone."""
