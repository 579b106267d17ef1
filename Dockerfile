# Trains the sample in a container, and leaves the run in a folder of yours:
#   docker build -t scratchnet .
#   docker run --rm -v "$PWD/runs:/work/runs" scratchnet
# and the same with another command: docker run --rm -v "$PWD:/work" scratchnet predict runs/NAME cells
FROM python:3.13-slim
COPY . /source
RUN pip install --no-cache-dir /source && rm -r /source
WORKDIR /work
# Compiled kernels are kept in the image, so that a container starts at once on a processor of the same kind.
ENV NUMBA_CACHE_DIR=/kernels
RUN scratchnet train --epochs 1 --image-size 32 --runs /tmp/runs --prepared /tmp/prepared && rm -r /tmp/runs /tmp/prepared
ENTRYPOINT ["scratchnet"]
CMD ["train"]
