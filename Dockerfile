# An image for Spark on Kubernetes: glasses_spark, its dependencies at the versions of
# constraints.txt, Spark from its own Python package, and a Java.
#
# Not built where the project is tested, which has no registry to take the base from: a test
# checks only that what it copies is there. docs/cluster.md says how to build and use it.
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
WORKDIR /build
RUN python -m venv /opt/environment
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
# mlflow: for the driver, where tracking.mlflow is set.
RUN /opt/environment/bin/pip install --no-cache-dir --constraint constraints.txt '.[mlflow]'

FROM python:${PYTHON}
# tini: what Spark's entry point starts its process with.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends openjdk-17-jre-headless procps tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 185 --create-home spark
COPY --from=build /opt/environment /opt/environment
# Where Spark looks for itself. Its Python package comes without the entry point for Kubernetes.
RUN ln -s /opt/environment/lib/python3.11/site-packages/pyspark /opt/spark
COPY scripts/kubernetes-entrypoint /opt/entrypoint.sh
COPY scripts/train.py /opt/glasses-spark/scripts/train.py
COPY configs /opt/glasses-spark/configs
ENV SPARK_HOME=/opt/spark \
    PATH=/opt/environment/bin:${PATH} \
    PYSPARK_PYTHON=/opt/environment/bin/python \
    PYSPARK_DRIVER_PYTHON=/opt/environment/bin/python
# As Spark's own images have it.
USER 185
WORKDIR /opt/glasses-spark
ENTRYPOINT ["/opt/entrypoint.sh"]
