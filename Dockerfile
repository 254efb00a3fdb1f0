# Server, worker and command line in one image.
#   build:  docker build -t trainyard .
#   run:    docker run -p 7700:7700 -v trainyard:/var/lib/trainyard trainyard
ARG BASE=docker.io/library/debian:bookworm-slim

FROM ${BASE} AS build
WORKDIR /src
COPY deploy/setup.sh deploy/setup.sh
RUN deploy/setup.sh build
COPY CMakeLists.txt CMakePresets.json ./
COPY cmake cmake
COPY proto proto
COPY core core
COPY server server
COPY client client
RUN cmake --preset release -DTRAINYARD_TESTS=OFF \
 && cmake --build --preset release --target trainyard-server trainyard-worker trainyard \
 && strip build/release/bin/trainyard build/release/bin/trainyard-server build/release/bin/trainyard-worker

FROM ${BASE}
COPY deploy/setup.sh /tmp/setup.sh
RUN /tmp/setup.sh run && rm -rf /tmp/setup.sh /var/lib/apt/lists/* \
 && useradd --system --home-dir /var/lib/trainyard --create-home trainyard
COPY --from=build /src/build/release/bin/ /usr/local/bin/
USER trainyard
VOLUME /var/lib/trainyard
EXPOSE 7700 7701
ENTRYPOINT ["trainyard-server", "--data_dir=/var/lib/trainyard", "--listen=0.0.0.0:7700", "--metrics_listen=0.0.0.0:7701", "--insecure"]
