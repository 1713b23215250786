# Stand-in for the demo's applications where no registry can be reached: nginx that is not root, and curl.
FROM docker.io/library/debian:trixie-slim
# hadolint ignore=DL3008
RUN apt-get update -q \
    && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends curl nginx-light \
    && rm -rf /var/lib/apt/lists/* /etc/nginx/conf.d/*
COPY nginx.conf /etc/nginx/nginx.conf
USER 101:101
CMD ["nginx", "-g", "daemon off;"]
