# An application that knows nothing of TLS: a web server in Python, and curl. Built in the directory of the tests' kit.
FROM docker.io/library/debian:trixie-slim
# hadolint ignore=DL3008 -- the current packages of the base image's Debian
RUN apt-get update -q \
    && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends curl iproute2 python3-minimal libpython3-stdlib \
    && rm -rf /var/lib/apt/lists/*
COPY app.py pattern.py /app/
USER 1000:1000
ENTRYPOINT ["python3", "/app/app.py"]
CMD ["--http", "8080"]
