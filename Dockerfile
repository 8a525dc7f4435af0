# The gateway as one static binary in an empty image.
#
#   docker build --build-arg VERSION=v0.1.0 -t inngest-gateway .
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
ARG TARGETOS TARGETARCH
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
      -ldflags "-s -w -X main.version=$VERSION" -o /out/gateway ./cmd/gateway \
    && mkdir /out/state

FROM scratch
# Authorities to believe: Inngest's API is called over TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/gateway /gateway
# GATEWAY_STATE_DIR, where one is wanted: mount a volume over it.
COPY --from=build --chown=65532:65532 /out/state /var/lib/inngest-gateway
USER 65532:65532
# Inngest calls 8480. Apps (8481) and admin (8482) listen on loopback only.
EXPOSE 8480
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/gateway", "health"]
ENTRYPOINT ["/gateway"]
CMD ["run"]
