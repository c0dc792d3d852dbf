# An image for Spark on Kubernetes: glasses_spark, its dependencies at the versions of
# constraints.txt, Spark from the pyspark package, and Java. docs/cluster.md describes how to
# build and use it.
#
# The tests do not build this image. They only check that the files it copies exist.
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
WORKDIR /build
RUN python -m venv /opt/environment
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN /opt/environment/bin/pip install --no-cache-dir --constraint constraints.txt '.[all]'

FROM python:${PYTHON}
# Spark's entry point starts its process with tini.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends openjdk-17-jre-headless procps tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 185 --create-home spark
COPY --from=build /opt/environment /opt/environment
# Spark expects its files here. The pyspark package has no entry point for Kubernetes.
RUN ln -s /opt/environment/lib/python3.11/site-packages/pyspark /opt/spark
COPY scripts/kubernetes-entrypoint /opt/entrypoint.sh
COPY scripts/train.py /opt/glasses-spark/scripts/train.py
COPY configs /opt/glasses-spark/configs
ENV SPARK_HOME=/opt/spark \
    PATH=/opt/environment/bin:${PATH} \
    PYSPARK_PYTHON=/opt/environment/bin/python \
    PYSPARK_DRIVER_PYTHON=/opt/environment/bin/python
# The user id of Spark's own images.
USER 185
WORKDIR /opt/glasses-spark
ENTRYPOINT ["/opt/entrypoint.sh"]
