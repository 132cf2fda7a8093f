# The gateway, without TensorFlow:
#
#     docker build -f serving/docker/gateway.Dockerfile -t kerasrnn-gateway .
#
# .dockerignore says what of the clone it is built from. This file was never
# built: there was no Docker daemon where it was written.
FROM python:3.13-slim AS build
COPY . /source
RUN pip wheel --no-cache-dir --no-deps --wheel-dir=/wheels /source

FROM python:3.13-slim
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir "$(echo /wheels/*.whl)[gateway]"
USER 1000:1000
EXPOSE 8080
ENTRYPOINT ["kerasrnn-gateway", "--port=8080"]
