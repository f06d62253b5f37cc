# The image of Ferry: one program, the C library it was linked with, and the certificates
# of public authorities. No shell, no package manager, nothing to write to.
#
#   docker build --tag ferry:0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" .
#
# The last stage is `scratch`, filled from the stage that compiled: the C library is then
# always the one that the program was linked with, and there is one base image to keep up
# to date. Fixes of Debian arrive with a newer tag of that image.

# The version is that of rust-toolchain.toml; tests/ops-deploy compares them. That file
# itself stays out: it would make rustup download lints and formatter, which nobody runs here.
FROM rust:1.95.0-slim-bookworm AS build
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
WORKDIR /src

# The allocator is built with make, which this base has not. Any version does.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends make && rm -rf /var/lib/apt/lists/*

COPY .cargo/ .cargo/
COPY Cargo.toml Cargo.lock build.rs ./
# Cargo refuses a manifest that names a benchmark which is not there.
COPY benches/ benches/
COPY migrations/ migrations/
COPY crates/ crates/
COPY operations/ operations/
COPY workers/ workers/
COPY src/ src/

# The program says it: `ferry --version`, the metric ferry_build_info. No history gets in here to be asked.
ARG REVISION=unknown
# Downloaded and compiled dependencies are kept between builds in the two caches. Cargo
# compares times, and a tree that was checked out before the last build has older files
# than what that build left: `touch` has our own packages compiled again each time.
RUN --mount=type=cache,id=ferry-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=ferry-target,target=/src/target,sharing=locked \
    find src operations workers crates migrations -type f -exec touch {} + \
    && FERRY_COMMIT="$REVISION" cargo build --locked --release --package ferry --bin ferry \
    && install -D -m 0755 target/release/ferry /image/usr/local/bin/ferry

# Everything else that the program opens. The list of packages is for scanners, which
# know the libraries by it.
RUN ldd /image/usr/local/bin/ferry | grep -o '/[^ ]*' | while read -r library; do \
        install -D -m 0755 "$library" "/image$library"; \
    done \
    && install -D -m 0644 /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ca-certificates.crt \
    && install -D -m 0644 /etc/os-release /image/etc/os-release \
    && install -d -m 1777 /image/tmp \
    && install -d -m 0755 /image/etc/ferry /image/var/lib/dpkg/status.d \
    && for package in libc6 libgcc-s1 ca-certificates; do \
        dpkg-query --status "$package" >"/image/var/lib/dpkg/status.d/$package"; \
    done \
    && echo 'hosts: files dns' >/image/etc/nsswitch.conf \
    && echo 'ferry:x:65532:65532:Ferry:/etc/ferry:/nonexistent' >/image/etc/passwd \
    && echo 'ferry:x:65532:' >/image/etc/group

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Ferry" \
      org.opencontainers.image.description="Moves an application's users into Auth0 through a durable job queue" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /image/ /
# Read by `ferry worker`, which listens there, and by `ferry health`, which asks there.
ENV PATH=/usr/local/bin \
    FERRY_LISTEN=0.0.0.0:9464
USER 65532:65532
# A settings file belongs here: /etc/ferry/ferry.toml.
WORKDIR /etc/ferry
EXPOSE 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["ferry", "health"]
ENTRYPOINT ["ferry"]
CMD ["worker"]
