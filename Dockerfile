# The notebook's live chart is JavaScript; only this stage needs Node.
FROM node:22-slim AS chart
WORKDIR /src/toolkit/views/js
COPY toolkit/views/js/package.json toolkit/views/js/package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY toolkit/views/js/ ./
RUN npm run build

FROM python:3.12-slim
RUN useradd --create-home --uid 1000 toolkit && install -d -o toolkit /state
WORKDIR /app
COPY pyproject.toml constraints.txt hatch_build.py README.md LICENSE CHANGELOG.md ./
COPY toolkit/ toolkit/
COPY --from=chart /src/toolkit/views/static/ toolkit/views/static/
# Newer than its sources, so that the build does not look for Node.
RUN find toolkit/views/static -type f -exec touch {} + \
    && pip install --no-cache-dir -c constraints.txt '.[apps,backtest,redis]'

USER toolkit
WORKDIR /home/toolkit
# Beyond loopback the server starts only with TOOLKIT_TOKEN set.
ENV TOOLKIT_HOST=0.0.0.0 TOOLKIT_PORT=9765 TOOLKIT_STATE_DIR=/state PYTHONUNBUFFERED=1
VOLUME /state
EXPOSE 9765
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD \
    ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9765/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["toolkit"]
CMD ["serve", "--symbol", "AAPL", "--symbol", "MSFT"]
