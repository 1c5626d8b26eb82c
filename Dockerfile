# docker build -t recycle .
# docker run --rm -v "$PWD:/footage" recycle run my-task.toml      (GPU: add --gpus all)
FROM python:3.12-slim

# constraints-cuda12.txt for NVIDIA drivers before 580.
ARG CONSTRAINTS=constraints.txt
# An index of PyTorch builds for CPUs makes a much smaller image without CUDA.
ARG TORCH_INDEX=
# Extras, such as [ui,live].
ARG EXTRAS=

WORKDIR /opt/recycle
COPY pyproject.toml constraints.txt constraints-cuda12.txt README.md LICENSE ./
COPY recycle recycle
COPY pipelines pipelines
RUN if [ -n "$TORCH_INDEX" ]; then \
      pip install --no-cache-dir --constraint "$CONSTRAINTS" --index-url "$TORCH_INDEX" torch torchvision; fi \
 && pip install --no-cache-dir --constraint "$CONSTRAINTS" ".$EXTRAS" \
 && useradd --create-home --uid 1000 recycle

USER recycle
WORKDIR /footage
ENTRYPOINT ["recycle"]
CMD ["--help"]
