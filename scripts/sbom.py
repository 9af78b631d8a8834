#!/usr/bin/env python3
"""Completes the bill of materials of a release, and holds it to the program and to the schema.

    scripts/sbom.py BILL --program FILE --crates SECTION --to FILE

BILL is what cargo-cyclonedx wrote. Added: the hash of the program; the C libraries that crates bring with them, which scanners
do not see in the name of a crate. Taken out: the builder's folder; the time of the build and the number by chance, so that the
same commit gives the same bill. SECTION is what cargo-auditable left in the program: every crate in it stands in the bill.

Exit status: 0 all is well, 1 something is not. The schema is left out without cyclonedx-python-lib[validation], and that is said.
"""

import argparse
import datetime
import hashlib
import json
import os
import pathlib
import re
import sys
import uuid
import zlib

# Crates whose version names that of a C library behind a +: name, address of its source, licence.
BUNDLED = {
    "rdkafka-sys": ("librdkafka", "pkg:github/confluentinc/librdkafka@v{}", "BSD-2-Clause"),
    "openssl-src": ("openssl", "pkg:github/openssl/openssl@openssl-{}", "Apache-2.0"),
    "zstd-sys": ("zstd", "pkg:github/facebook/zstd@v{}", "BSD-3-Clause"),
}
OURS = "pkg:cargo/tiltmeter@{}"


def without_folder(bill):
    """References to our own package without the place at which it was built."""
    own = bill["metadata"]["component"]
    reference = OURS.format(own["version"])
    text = json.dumps(bill).replace(own["bom-ref"], reference)
    return json.loads(text.replace("?download_url=file://.", ""))


def with_libraries(bill):
    """The C libraries, as what the crates that bring them depend on."""
    depends = {one["ref"]: one for one in bill["dependencies"]}
    added = []
    for crate in bill["components"]:
        name, address, licence = BUNDLED.get(crate["name"], (None, None, None))
        if name is None:
            continue
        version = crate["version"].partition("+")[2].removeprefix("zstd.")
        if not re.fullmatch(r"\d+(\.\d+)+", version):
            raise SystemExit(f"sbom: {crate['name']} {crate['version']} does not say which {name} it brings")
        reference = address.format(version)
        added.append({
            "type": "library", "bom-ref": reference, "name": name, "version": version, "scope": "required",
            "licenses": [{"expression": licence}], "purl": reference,
        })
        depends[crate["bom-ref"]].setdefault("dependsOn", []).append(reference)
    bill["components"] += added
    bill["dependencies"] += [{"ref": one["bom-ref"]} for one in added]
    return bill


def of_program(bill, program):
    """The hash of the program, and from it a number that the same program always gets."""
    digest = hashlib.sha256(program).hexdigest()
    bill["metadata"]["component"]["hashes"] = [{"alg": "SHA-256", "content": digest}]
    bill["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}"
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    bill["metadata"]["timestamp"] = datetime.datetime.fromtimestamp(epoch, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return bill


def missing(bill, crates):
    """Crates in the program that are not in the bill. What only built it is left to the bill."""
    listed = {(one["name"], one["version"]) for one in [*bill["components"], bill["metadata"]["component"]]}
    linked = [one for one in json.loads(zlib.decompress(crates))["packages"] if one.get("kind", "runtime") == "runtime"]
    return sorted(f"{one['name']} {one['version']}" for one in linked if (one["name"], one["version"]) not in listed), len(linked)


def faults_of_schema(text):
    """None where the schema is not at hand."""
    try:
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator
    except ModuleNotFoundError:
        return None
    fault = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
    return [] if fault is None else [str(fault)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bill", type=pathlib.Path)
    parser.add_argument("--program", type=pathlib.Path, required=True)
    parser.add_argument("--crates", type=pathlib.Path, required=True, help="section .dep-v0 of the program")
    parser.add_argument("--to", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    bill = without_folder(json.loads(arguments.bill.read_text(encoding="utf-8")))
    bill = of_program(with_libraries(bill), arguments.program.read_bytes())
    faults, linked = missing(bill, arguments.crates.read_bytes())
    faults = [f"{one} is in the program and not in the bill" for one in faults]
    text = json.dumps(bill, indent=1) + "\n"
    faults += ["a folder of this machine stands in the bill"] if "file://" in text else []
    of_schema = faults_of_schema(text)
    faults += of_schema or []
    for fault in faults:
        print(f"sbom: {fault}")
    schema = "left out: no cyclonedx-python-lib[validation]" if of_schema is None else "held to the schema of CycloneDX 1.5"
    print(f"sbom: {len(bill['components'])} components, {linked} crates linked; {schema}; {len(faults)} faults")
    arguments.to.write_text(text, encoding="utf-8")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
