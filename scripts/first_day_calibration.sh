#!/usr/bin/env bash
# Makes models/calibration.v1.json anew from simulated fleets. Takes a minute.
set -euo pipefail
cd "$(dirname "$0")/.."
fresh=$(mktemp)
trap 'rm -f "$fresh"' EXIT
cargo run --quiet --profile demo -- train calibration > "$fresh"
cp "$fresh" models/calibration.v1.json
echo "models/calibration.v1.json: $(wc -c < models/calibration.v1.json) bytes"
