"""`python -m fluxlit_django.gateway`: one gateway worker, started by the supervisor."""

from __future__ import annotations

from fluxlit_django import control

if __name__ == "__main__":
    control.die_with_parent()
    from fluxlit_django.gateway.worker import main

    main()
