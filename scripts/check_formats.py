#!/usr/bin/env python3
"""Reads records of a format from standard input, one a line, with a parser or a schema that nobody here wrote.

    tiltmeter detect --format ocsf events.jsonl | scripts/check_formats.py ocsf
    tiltmeter detect --format cef events.jsonl | scripts/check_formats.py cef

Packages (pip): ocsf-json-schema and jsonschema for `ocsf`, pycef for `cef`, cloudevents for `cloudevents`, whose lines are
{"headers": {...}, "value": "..."} as the records of Kafka have them, joserfc for `caep`, whose lines are
{"jwks": {...}, "token": "..."}: a token, and what `/.well-known/jwks.json` answers.

Exit status: 0 all are right, 1 one is wrong, 2 used wrongly, 3 a package is missing.
"""

import json
import sys


def ocsf(lines):
    """The JSON Schema of Detection Finding 1.8.0."""
    from jsonschema import Draft202012Validator
    from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version="1.8.0"))
    finding = schema.get_class_schema(class_name="detection_finding", profiles=[])
    validator = Draft202012Validator(finding)
    # A checker that accepts anything checks nothing.
    if validator.is_valid({"class_uid": 2004}):
        return ["the schema accepts a finding without fields"]
    faults = []
    for number, line in enumerate(lines, 1):
        for error in validator.iter_errors(json.loads(line)):
            faults.append(f"line {number}: {error.json_path}: {error.message[:300]}")
    return faults


def cef(lines):
    """pycef: seven fields of a header, and pairs."""
    import pycef

    header = {"DeviceVendor", "DeviceProduct", "DeviceVersion", "DeviceEventClassID", "Name", "DeviceName", "Severity",
              "DeviceSeverity", "CEFVersion"}
    # pycef puts fields under their labels.
    known = header | set("rt start end externalId cat act suid suser request reason msg agentType session atlas owasp tenant "
                         "baseline p bits level previousLevel monitoring openAlerts seq score".split())
    states = ("opened", "updated", "closed")
    causes = ("finding", "rule", "registry", "decay", "verdict")
    faults = []
    for number, line in enumerate(lines, 1):
        values = pycef.parse(line)
        if values is None:
            faults.append(f"line {number}: not read: {line[:300]}")
            continue
        if values["DeviceVendor"] != "Tiltmeter" or not 0 <= int(values["DeviceSeverity"]) <= 10:
            faults.append(f"line {number}: header: {values}")
        if values.get("act") not in states + causes:
            faults.append(f"line {number}: act = {values.get('act')}: a pair was forged")
        if set(values) - known:
            faults.append(f"line {number}: keys {sorted(set(values) - known)}: pairs were forged")
    return faults


def cloudevents(lines):
    """The reader of the Kafka binding in the SDK of CloudEvents."""
    from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event
    from cloudevents.core.formats.json import JSONFormat

    faults = []
    for number, line in enumerate(lines, 1):
        record = json.loads(line)
        headers = {name: value.encode() for name, value in record["headers"].items()}
        try:
            event = from_kafka_event(KafkaMessage(headers=headers, key=None, value=record["value"].encode()), JSONFormat())
        except Exception as error:  # whatever the reader has against it
            faults.append(f"line {number}: {error!r}")
            continue
        data = event.get_data()
        if isinstance(data, (bytes, str)):
            data = json.loads(data)
        if not event.get_type().startswith("io.tiltmeter.agent.risk.") or "schema" not in data:
            faults.append(f"line {number}: {event.get_type()}: {data}")
    return faults


def caep(lines):
    """joserfc verifies signatures; claims are held to CAEP 1.0, the Shared Signals Framework 1.0 and RFC 8417."""
    from joserfc import jws
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet

    event_type = "https://schemas.openid.net/secevent/caep/event-type/risk-level-change"
    levels = {"LOW", "MEDIUM", "HIGH"}
    formats = {"iss_sub": {"format", "iss", "sub"}, "opaque": {"format", "id"}}

    def simple(subject):
        return formats.get(subject.get("format")) == set(subject) and all(isinstance(text, str) for text in subject.values())

    faults = []
    for number, line in enumerate(lines, 1):
        record = json.loads(line)
        keys = KeySet.import_key_set(record["jwks"])
        token = record["token"]
        try:
            read = jws.deserialize_compact(token, keys, algorithms=["RS256"])
        except JoseError as error:
            faults.append(f"line {number}: {error!r}")
            continue
        # A verifier that takes anything verifies nothing.
        head, claims, signature = token.split(".")
        forged = ".".join([head, claims, ("A" if signature[0] != "A" else "B") + signature[1:]])
        try:
            jws.deserialize_compact(forged, keys, algorithms=["RS256"])
            faults.append(f"line {number}: a forged signature is taken")
        except JoseError:
            pass
        header, claims = read.headers(), json.loads(read.payload)
        if header["typ"] != "secevent+jwt" or header["alg"] != "RS256" or "kid" not in header:
            faults.append(f"line {number}: header {header}")
        if {"iss", "jti", "iat", "aud", "txn", "sub_id", "events"} != set(claims):
            faults.append(f"line {number}: claims {sorted(claims)}")
        if not isinstance(claims["iat"], int) or list(claims["events"]) != [event_type]:
            faults.append(f"line {number}: {claims}")
        subject = claims["sub_id"]
        parts = [subject[name] for name in subject if name != "format"] if subject["format"] == "complex" else [subject]
        if not parts or not all(simple(part) for part in parts):
            faults.append(f"line {number}: sub_id {subject}")
        event = claims["events"][event_type]
        if not isinstance(event["principal"], str) or event["current_level"] not in levels:
            faults.append(f"line {number}: event {event}")
        if event.get("previous_level", "LOW") not in levels or event["initiating_entity"] not in {"admin", "policy", "system"}:
            faults.append(f"line {number}: event {event}")
    return faults


CHECKS = {"ocsf": ocsf, "cef": cef, "cloudevents": cloudevents, "caep": caep}


def main(arguments):
    if len(arguments) != 1 or arguments[0] not in CHECKS:
        print(f"usage: check_formats.py {{{','.join(CHECKS)}}} < RECORDS", file=sys.stderr)
        return 2
    lines = [line for line in sys.stdin.read().split("\n") if line]
    try:
        faults = CHECKS[arguments[0]](lines)
    except ModuleNotFoundError as missing:
        print(f"{arguments[0]}: the package {missing.name} is not here (pip)")
        return 3
    for fault in faults:
        print(fault)
    if not faults:
        print(f"{len(lines)} right")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
