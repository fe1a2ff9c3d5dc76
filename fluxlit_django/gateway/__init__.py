"""The data plane: what runs in the ASGI workers, between a browser and the sidecars."""
