# The demo project as an image. For your own project: copy this file, and your project in place of `project`.
#
#   docker build --tag fluxlit-demo .
#   docker run --env-file .env --publish 127.0.0.1:8000:8000 --volume fluxlit-data:/data fluxlit-demo

FROM python:3.13-slim AS builder

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build

# The environment has no pip of its own: it is filled from outside.
RUN python -m venv --without-pip /venv
COPY requirements.txt ./
RUN pip --python /venv/bin/python install --requirement requirements.txt

COPY pyproject.toml README.md LICENSE ./
COPY fluxlit_django fluxlit_django
RUN pip wheel --no-deps --wheel-dir dist . \
    && pip --python /venv/bin/python install --no-deps dist/*.whl


FROM python:3.13-slim

ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DJANGO_SETTINGS_MODULE=project.settings \
    DATABASE_URL=sqlite:////data/db.sqlite3 \
    FLUXLIT_GATEWAY_HOST=0.0.0.0 \
    FLUXLIT_ASSETS_DIR=/app/frontend \
    # What is written at run time goes to /tmp and /data, so the root may be read-only (--read-only --tmpfs /tmp).
    HOME=/tmp TMPDIR=/tmp XDG_CACHE_HOME=/tmp/.cache XDG_CONFIG_HOME=/tmp/.config XDG_RUNTIME_DIR=/tmp

RUN groupadd --gid 10001 fluxlit \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin fluxlit \
    && install --directory --owner 10001 --group 10001 --mode 0700 /data

COPY --from=builder /venv /venv
WORKDIR /app
COPY manage.py ./
COPY .streamlit .streamlit
COPY project project
# Static files, and Streamlit's frontend compressed. The key is not kept: the running site gets its own.
RUN export SECRET_KEY=only-for-these-two-commands \
    && python manage.py collectstatic --no-input --verbosity 0 \
    && python manage.py fluxlit_assets \
    && python -m compileall -q project

USER 10001:10001
VOLUME /data
EXPOSE 8000

HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:' + os.environ.get('FLUXLIT_GATEWAY_PORT', '8000') + '/api/healthz', timeout=2)"]

CMD ["python", "manage.py", "fluxlit_run"]
