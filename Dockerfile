# docker build -t recycle .
# docker run --rm -v "$PWD:/footage" recycle run my-task.toml      (GPU: add --gpus all)
FROM python:3.12-slim

WORKDIR /opt/recycle
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY recycle recycle
COPY pipelines pipelines
RUN pip install --no-cache-dir --constraint constraints.txt . \
 && useradd --create-home --uid 1000 recycle

USER recycle
WORKDIR /footage
ENTRYPOINT ["recycle"]
CMD ["--help"]
