#!/usr/bin/env python3
"""Holds a running instance to its own description: is the document OpenAPI, and does every route answer as it says?

    scripts/check_http.py http://127.0.0.1:9464 [--examples 50] [--seed 1] [--token TOKEN]

openapi-spec-validator reads /v1/openapi.json; schemathesis makes requests from it, right ones and wrong ones, and looks for
answers of 5xx, statuses, media types and bodies that the document does not know. Give it an instance for tests: it gives
verdicts and tests. /v1/events has no end and is left out.

Packages (pip): openapi-spec-validator and schemathesis. Exit status: 0 all is well, 1 something is not, 2 used wrongly, 3 a
package is missing.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.request

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("url")
    parser.add_argument("--examples", type=int, default=50, help="requests of each route and kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--token", help="bearer token, of role admin")
    arguments = parser.parse_args()
    try:
        from openapi_spec_validator import OpenAPIV31SpecValidator
    except ModuleNotFoundError as missing:
        print(f"http: the package {missing.name} is not here (pip install openapi-spec-validator)")
        return 3
    fuzzer = pathlib.Path(sys.executable).with_name("schemathesis")
    if not fuzzer.exists():
        print("http: schemathesis is not here (pip install schemathesis)")
        return 3
    with urllib.request.urlopen(f"{arguments.url}/v1/openapi.json", timeout=30) as answer:
        document = json.load(answer)
    faults = [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}"
              for error in OpenAPIV31SpecValidator(document).iter_errors()]
    for fault in faults:
        print(f"openapi: {fault}")
    operations = sum(len(methods) for methods in document["paths"].values())
    with tempfile.TemporaryDirectory() as folder:
        command = [
            fuzzer, "run", f"{arguments.url}/v1/openapi.json", "--url", arguments.url, "--checks", CHECKS,
            "--exclude-path", "/v1/events", "--phases", "examples,coverage,fuzzing", "--max-examples", str(arguments.examples),
            "--seed", str(arguments.seed), "--continue-on-failure", "--generation-database", "none", "--no-color",
            "--suppress-health-check", "all", "--request-timeout", "40", "--warnings", "off",
        ]
        if arguments.token:
            command += ["--header", f"Authorization: Bearer {arguments.token}"]
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    told = ran.stdout + ran.stderr
    cases = re.search(r"(\d+) generated", told)
    if ran.returncode != 0:
        print(told)
    print(f"{operations} operations, {len(faults)} faults of the document, {cases.group(1) if cases else 'unknown'} requests, "
          f"{'no' if ran.returncode == 0 else 'some'} answers that it does not know")
    return 1 if faults or ran.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
