# vidgan for CPUs, as an unprivileged user.
#
#   docker build -t vidgan .
#   docker run --rm -v "$PWD:/work" --user "$(id -u):$(id -g)" vidgan predict --pretrained shapes video.mp4
FROM python:3.11-slim

COPY . /src
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu "/src[flow]" && rm -rf /src \
    && useradd --create-home vidgan
USER vidgan
# Any user may be chosen at run time, and needs a folder for caches.
ENV HOME=/tmp XDG_CACHE_HOME=/tmp
WORKDIR /work
ENTRYPOINT ["vidgan"]
CMD ["--help"]
