# The daemon in a container. Build: docker build -t aether .
# Run:   docker run --read-only --cap-drop ALL --security-opt no-new-privileges -v aether:/var/lib/aether aether
# Look:  docker exec CONTAINER aether status

FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements.lock requirements-dev.lock ./
# Everything that is installed is named with its hash, the build back end too.
RUN python -m venv /build && /build/bin/pip install --no-cache-dir --require-hashes -r requirements-dev.lock
RUN python -m venv /opt/aether && /opt/aether/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY aether ./aether
RUN /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheel . \
    && /opt/aether/bin/pip install --no-cache-dir --no-deps --no-index /wheel/*.whl

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/aether --shell /usr/sbin/nologin aether \
    && install -d -m 0700 -o aether -g aether /var/lib/aether
COPY --from=build /opt/aether /opt/aether
COPY config/aether.toml /etc/aether/aether.toml
ENV PATH=/opt/aether/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    STATE_DIRECTORY=/var/lib/aether
USER aether
WORKDIR /var/lib/aether
# The journal: who loses it does not know what the account owns.
VOLUME /var/lib/aether
# An orderly stop takes up to a minute: docker stop --time 60.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["aether", "status", "--json"]
ENTRYPOINT ["aether"]
# The sandbox: no key and no network.
CMD ["run", "--world", "sandbox"]
