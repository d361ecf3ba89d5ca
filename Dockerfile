# One image for the server, the workers and the migration: docker build -t mediagen .
# With Flower, for whoever wants to look at Celery:          docker build -t mediagen-flower --target flower .
# What it may and may not do when it runs is in compose.yaml; docs/how-to/containers.md tells the rest.

FROM node:24-slim AS web
WORKDIR /build/web
COPY web/package.json web/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY web ./
RUN npm run build

FROM python:3.13-slim AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python3 -m venv --without-pip /opt/mediagen && python3 -m venv /opt/build
COPY locks/build.txt locks/runtime.txt locks/
RUN /opt/build/bin/pip install -q --require-hashes -r locks/build.txt && \
    pip --python /opt/mediagen/bin/python install -q --require-hashes -r locks/runtime.txt

FROM packages AS package
COPY pyproject.toml hatch_build.py README.md LICENSE CHANGELOG.md ./
COPY src src
COPY --from=web /build/src/mediagen/web src/mediagen/web
RUN /opt/build/bin/pip wheel -q --no-deps --no-build-isolation -w dist . && \
    pip --python /opt/mediagen/bin/python install -q --no-deps dist/*.whl

FROM package AS package-with-flower
COPY locks/flower.txt locks/
RUN pip --python /opt/mediagen/bin/python install -q --require-hashes -r locks/flower.txt

FROM python:3.13-slim AS system
LABEL org.opencontainers.image.title="mediagen" \
      org.opencontainers.image.description="A self-hosted, durable job server for generative media" \
      org.opencontainers.image.licenses="MIT"
RUN groupadd --gid 10001 mediagen && \
    useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin mediagen && \
    install -d -o mediagen -g mediagen -m 700 /data
ENV PATH=/opt/mediagen/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 PORT=8000 DATA_DIR=/data
USER 10001:10001

FROM system AS flower
COPY --from=package-with-flower /opt/mediagen /opt/mediagen
WORKDIR /tmp
EXPOSE 5555
CMD ["celery", "-A", "mediagen.worker.celery_app", "flower", "--port=5555"]

FROM system AS mediagen
COPY --from=package /opt/mediagen /opt/mediagen
WORKDIR /data
VOLUME /data
EXPOSE 8000
# Any answer but a failure: the process lives even where ALLOWED_HOSTS leaves 127.0.0.1 out.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); c.request('GET', '/health/live'); sys.exit(c.getresponse().status >= 500)"]
CMD ["mediagen", "serve"]
