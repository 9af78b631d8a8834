//! One line of JSON becomes one audit event, or a refusal that says why.
//!
//! Knows the native format `agent-audit.v1` and its limits.
//! Must not know where the line came from nor what becomes of the event.

use crate::event::{Argument, AuditEvent, Text};
use crate::wire::dead_letter::Refusal;
use crate::wire::refusal;

/// Longest event. Bytes of JSON.
pub const EVENT_LIMIT_BYTES: usize = 256 << 10;
/// Longest id: agent, event, tenant, instance, session, credential. Bytes of UTF-8.
pub const ID_LIMIT_BYTES: usize = 256;
/// Longest other string. Bytes of UTF-8.
pub const TEXT_LIMIT_BYTES: usize = 1 << 10;
/// Most objects and lists inside one another, ignored fields included.
pub const DEPTH_LIMIT: usize = 32;
/// Most arguments of one call.
pub const ARGUMENTS_LIMIT: usize = 64;
/// Largest number; every JSON reader keeps integers up to here exactly. Source: RFC 7493 §2.2.
pub const NUMBER_LIMIT: u64 = (1 << 53) - 1;

/// Depth of what the event itself is made of: event, list of arguments, argument.
const OWN_DEPTH: usize = 3;
/// Up to so many opening brackets the parser may recurse on any thread's stack.
const SAFE_OPENINGS: usize = 512;

/// Reads one audit event. Borrows every string without escapes; then nothing is allocated.
///
/// * `line`: one JSON object, with nothing after it but white space.
///
/// Unknown fields are ignored, but count towards size and depth. `null` means absent.
///
/// # Errors
///
/// A [`Refusal`] when the line is not such an object, lacks a required field or breaks a limit.
///
/// # Example
///
/// ```
/// let line = br#"{"time": "2026-01-22T18:50:59Z", "agent_id": "mail-helper", "action": "send"}"#;
/// let event = tiltmeter::wire::audit_event::decode(line)?;
/// assert_eq!(event.action.as_str(), "send");
/// # Ok::<(), tiltmeter::wire::dead_letter::Refusal>(())
/// ```
pub fn decode(line: &[u8]) -> Result<AuditEvent<'_>, Refusal> {
    if line.len() > EVENT_LIMIT_BYTES {
        return Err(refusal::too_large());
    }
    let openings = openings(line);
    // The parser recurses into ignored fields without a limit of its own: look before it does.
    if openings > SAFE_OPENINGS && depth(line) > DEPTH_LIMIT {
        return Err(refusal::too_deep());
    }
    // A struct could also be read from a list of its fields in order; the format has no such form.
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err(refusal::explain(line, None));
    }
    let event: AuditEvent<'_> = match sonic_rs::from_slice(line) {
        Ok(event) => event,
        Err(error) => return Err(refusal::explain(line, Some(&error))),
    };
    // Openings that the event's own structure does not account for lie in strings or in ignored fields:
    // so many levels can those have at most.
    let others = openings.saturating_sub(own_openings(&event));
    if others > DEPTH_LIMIT - OWN_DEPTH && depth(line) > DEPTH_LIMIT {
        return Err(refusal::too_deep());
    }
    if !is_within_limits(&event) {
        return Err(refusal::explain(line, None));
    }
    Ok(event)
}

/// Names of fields in `line` that are not read, each with the one that may be meant. For people who look for what is missing;
/// many times slower than [`decode`].
///
/// # Example
///
/// ```
/// let line = br#"{"time": "2026-01-22T18:50:59Z", "agent_id": "a", "action": "b", "agenttype": "c", "team": "d"}"#;
/// assert_eq!(tiltmeter::wire::audit_event::misspelt(line), [("agenttype".to_owned(), "agent_type")]);
/// ```
pub fn misspelt(line: &[u8]) -> Vec<(String, &'static str)> {
    refusal::misspelt(line)
}

/// Whether objects and lists of `json` are nested deeper than `limit`. One or two passes over the bytes.
pub(super) fn is_deeper_than(json: &[u8], limit: usize) -> bool {
    openings(json) > limit && depth(json) > limit
}

/// Number of `[` and `{`, also inside strings: an upper bound of the nesting depth. One vectorised pass.
fn openings(line: &[u8]) -> usize {
    // `[` and `{` differ in one bit. Blocks of 128 keep the count in a byte, so that 16 fit one register.
    line.chunks(128)
        .map(|block| usize::from(block.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum::<u8>()))
        .sum()
}

/// Openings of the event's own structure.
fn own_openings(event: &AuditEvent<'_>) -> usize {
    1 + if event.arguments.is_empty() { 0 } else { 1 + event.arguments.len() }
}

/// Deepest nesting of objects and lists outside strings. One pass over the bytes; no recursion.
fn depth(line: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0usize, 0usize);
    let mut bytes = line.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => _ = bytes.next(),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    deepest
}

/// Whether all values lie within their limits. Which one does not is found by [`refusal::explain`].
fn is_within_limits(event: &AuditEvent<'_>) -> bool {
    // Every field is named, so that a new one cannot be forgotten here.
    let AuditEvent {
        time,
        event_id,
        tenant,
        agent_id,
        agent_type,
        agent_version,
        instance_id,
        session_id,
        seq,
        action,
        resource,
        outcome: _,
        bytes,
        count,
        source_ip,
        location,
        user_agent,
        credential_id,
        credential_type,
        credential_issued_at: _,
        on_behalf_of,
        delegated_by,
        decision,
        decision_key,
        attestation,
        arguments,
    } = event;
    let ids = [event_id, tenant, instance_id, session_id, credential_id, delegated_by];
    let texts = [
        agent_type,
        agent_version,
        resource,
        source_ip,
        location,
        user_agent,
        credential_type,
        on_behalf_of,
        decision,
        decision_key,
        attestation,
    ];
    time.is_plausible()
        && (1..=ID_LIMIT_BYTES).contains(&agent_id.len())
        && (1..=TEXT_LIMIT_BYTES).contains(&action.len())
        && ids.into_iter().all(|id| fits(id, ID_LIMIT_BYTES))
        && texts.into_iter().all(|text| fits(text, TEXT_LIMIT_BYTES))
        && [seq, bytes].into_iter().all(|number| number.is_none_or(|number| number <= NUMBER_LIMIT))
        && count.is_none_or(|count| (1..=NUMBER_LIMIT).contains(&count))
        && arguments.len() <= ARGUMENTS_LIMIT
        && arguments.iter().all(is_argument_within_limits)
}

fn is_argument_within_limits(argument: &Argument<'_>) -> bool {
    argument.name.len() <= TEXT_LIMIT_BYTES && fits(&argument.origin_event, ID_LIMIT_BYTES)
}

fn fits(text: &Option<Text<'_>>, limit: usize) -> bool {
    text.as_ref().is_none_or(|text| text.len() <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openings_bound_the_depth_and_the_depth_ignores_strings() {
        for (line, expected_openings, expected_depth) in [
            ("", 0, 0),
            ("{}", 1, 1),
            (r#"{"a": "[[[", "b": []}"#, 5, 2),
            (r#"{"a": "\"[\\", "b": [{}, {}]}"#, 5, 3),
            ("]]]][[", 2, 2),
            (r#"{"unfinished"#, 1, 1),
            (r#"{"unfinished\"#, 1, 1),
        ] {
            assert_eq!(
                (openings(line.as_bytes()), depth(line.as_bytes())),
                (expected_openings, expected_depth),
                "{line}"
            );
        }
        let many = "[".repeat(100_000);
        assert_eq!((openings(many.as_bytes()), depth(many.as_bytes())), (100_000, 100_000));
    }

    #[test]
    fn strings_without_escapes_are_borrowed_and_the_others_are_right() {
        let line = br#"{"time":"2026-01-22T18:50:59Z","agent_id":"a","action":"x\ty","tenant":null,"arguments":null}"#;
        let event = decode(line).unwrap();
        assert!(matches!(event.agent_id.0, std::borrow::Cow::Borrowed("a")));
        assert_eq!((event.action.as_str(), event.tenant), ("x\ty", None));
    }
}
