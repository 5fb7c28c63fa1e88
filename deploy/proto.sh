#!/bin/sh
# Generates headrace/v1 from proto/ below a folder: the checkout (default), or one to compare with.
# The tools have an environment of their own: the oldest that is supported generates, the newest may run.
set -eu
cd "$(dirname "$0")/.."
target=${1:-.}
tools="grpcio-tools==1.76.0 mypy-protobuf==5.1.0"
environment=.headrace/proto

if [ "$(cat "$environment/stamp" 2>/dev/null || true)" != "$tools" ]; then
    echo "· installing $tools from PyPI …"
    .venv/bin/python -m venv --clear "$environment"
    # shellcheck disable=SC2086  # Two words.
    "$environment/bin/python" -m pip install -qq --disable-pip-version-check $tools
    echo "$tools" >"$environment/stamp"
fi

PATH=$PWD/$environment/bin:$PATH
export PATH
python -m grpc_tools.protoc -I proto --python_out="$target" --pyi_out="$target" proto/headrace/v1/*.proto
python -m grpc_tools.protoc -I proto --grpc_python_out="$target" --mypy_grpc_out=quiet,only_async:"$target" \
    proto/headrace/v1/*_service.proto
