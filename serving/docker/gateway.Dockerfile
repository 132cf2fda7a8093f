# The gateway, without TensorFlow:
#
#     docker build -f serving/docker/gateway.Dockerfile -t kerasrnn-gateway .
#
# This file was never built: there was no Docker daemon where it was written.
FROM python:3.13-slim
COPY . /source
RUN pip install --no-cache-dir "/source[gateway]" && rm -r /source
USER 1000:1000
EXPOSE 8080
ENTRYPOINT ["kerasrnn-gateway", "--port=8080"]
