# Works with Docker's old builder as well as with BuildKit.
FROM swift:6.3-bookworm AS build
RUN apt-get update \
  && apt-get install -y --no-install-recommends libpq-dev pkg-config \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /src

# The dependencies take most of the time, so they are a layer of their own, which only a change of Package.swift makes
# anew. The package manager builds nothing without the targets' sources: empty files stand in for all but the build tool.
# A layer may keep the files' times to the second only, which the package manager would take for changes, and build all
# again; an archive keeps them whole.
COPY Package.swift ./
COPY Sources/CLibPQ Sources/CLibPQ
COPY Sources/EmbedSQL Sources/EmbedSQL
COPY Sources/EmbedSQLPlugin Sources/EmbedSQLPlugin
RUN set -e; mkdir -p sql/migrations sql/functions; \
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
# Leaves the names of functions, for profiles and core dumps.
RUN strip --strip-debug /flashsale

FROM debian:bookworm-slim
# curl is for the health check.
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
