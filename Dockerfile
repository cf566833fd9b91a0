# The app on a CPU: docker build -t etp-app . && docker run --rm -p 7860:7860 -v "$PWD/build/etp-ptb-xl:/model:ro" etp-app
FROM python:3.11-slim

ENV PIP_NO_CACHE_DIR=1 \
    PYTHONUNBUFFERED=1 \
    HF_HUB_OFFLINE=1 \
    GRADIO_ANALYTICS_ENABLED=False \
    GRADIO_SERVER_NAME=0.0.0.0 \
    MPLCONFIGDIR=/tmp/matplotlib \
    ETP_MODEL=/model

WORKDIR /srv
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY modeling_etp modeling_etp
COPY datasets_scripts datasets_scripts
COPY etp etp
# The index of CPU wheels, or a mirror of it: those of PyPI bring gigabytes of CUDA.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --extra-index-url "$TORCH_INDEX" -c constraints.txt ".[app]"

# Uploads pass through /tmp and nothing else is written: the image runs with --read-only --tmpfs /tmp too.
RUN useradd --no-create-home etp
USER etp
EXPOSE 7860
HEALTHCHECK --start-period=120s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860', timeout=5)"]
CMD ["etp", "app"]
