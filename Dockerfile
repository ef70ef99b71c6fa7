# Works with Docker's old builder and with BuildKit.
FROM swift:6.3-bookworm AS build
RUN apt-get update \
  && apt-get install -y --no-install-recommends libpq-dev pkg-config \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /src

# The dependencies take most of the time. So they have their own layer, and Docker rebuilds it only when Package.swift or the
# build tool changes. The package manager needs sources for each target, so empty files stand in for the others.
# A layer may round the files' times to seconds. The package manager would see a change and build everything again. An archive
# keeps the exact times.
COPY Package.swift ./
COPY Sources/APIReference Sources/APIReference
COPY Sources/CLibPQ Sources/CLibPQ
COPY Sources/EmbedFiles Sources/EmbedFiles
COPY Sources/EmbedFilesPlugin Sources/EmbedFilesPlugin
RUN set -e; mkdir -p sql/migrations sql/functions Sources/Pages/assets; \
  for target in $(grep -oE '(name|path): "[^"]+"' Package.swift \
    | sed -E 's|^name: "(.*)"|Sources/\1 Tests/\1|; s|^path: "(.*)"|\1|'); do \
    [ -e "$target" ] || { mkdir -p "$target"; touch "$target/Empty.swift"; }; \
  done; \
  mkdir -p Sources/API/OpenAPI; touch Sources/API/OpenAPI/openapi.yaml; \
  swift build -c release --static-swift-stdlib --product flashsale; \
  tar --format=posix -cf /build.tar .build; \
  rm -r .build Sources sql

COPY Sources Sources
COPY sql sql
RUN tar -xf /build.tar \
  && swift build -c release --static-swift-stdlib --product flashsale \
  && mv "$(swift build -c release --show-bin-path)/flashsale" /flashsale
# Keeps the names of functions, for profiles and core dumps.
RUN strip --strip-debug /flashsale

FROM debian:bookworm-slim
# The health check needs curl.
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates curl libpq5 \
  && rm -rf /var/lib/apt/lists/* \
  && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin flashsale
COPY --from=build /flashsale /usr/local/bin/flashsale
USER 10001
ENV HOST=0.0.0.0 PORT=8080
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
  CMD curl -fsS -o /dev/null "http://127.0.0.1:$PORT/health/ready"
ENTRYPOINT ["flashsale"]
CMD ["serve"]
