//! Tests of reading lines: ends, positions, compression, cuts and damage.

use super::*;
use std::io::Write;

type Seen = Vec<(Vec<u8>, usize, u64, u64, u64)>;

fn read_all(lines: &mut Lines) -> (Seen, Option<InputError>) {
    let mut seen = Vec::new();
    loop {
        match lines.next_line() {
            Ok(Some(line)) => {
                seen.push((line.bytes.to_vec(), line.source, line.number, line.offset, line.length));
            }
            Ok(None) => return (seen, None),
            Err(error) => return (seen, Some(error)),
        }
    }
}

fn file(dir: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn texts(seen: &Seen) -> Vec<&str> {
    seen.iter().map(|line| std::str::from_utf8(&line.0).unwrap()).collect()
}

#[test]
fn lines_keep_their_place_across_blank_lines_and_both_line_ends() {
    let dir = tempfile::tempdir().unwrap();
    let one = file(&dir, "one.jsonl", b"a\r\n\r\n  \t\nbb\nccc");
    let two = file(&dir, "two.jsonl", b"\nd\n");
    let (seen, error) = read_all(&mut Lines::open(&[one, two]).unwrap());
    assert!(error.is_none());
    assert_eq!(
        seen,
        vec![
            (b"a".to_vec(), 0, 1, 0, 1),
            (b"bb".to_vec(), 0, 4, 9, 2),
            (b"ccc".to_vec(), 0, 5, 12, 3),
            (b"d".to_vec(), 1, 2, 1, 1),
        ]
    );
}

#[test]
fn compressed_files_are_recognised_by_content_whatever_their_name() {
    let dir = tempfile::tempdir().unwrap();
    let members = [gzip(b"a\nb"), gzip(b"c\nd\n")].concat();
    let frames =
        [zstd::encode_all(&b"e\n"[..], 1).unwrap(), zstd::encode_all(&b"f\n"[..], 1).unwrap()].concat();
    let paths = [
        file(&dir, "members.gz", &members),
        file(&dir, "no-ending", &members),
        file(&dir, "frames.zst", &frames),
        file(&dir, "misnamed.jsonl", &frames),
    ];
    let mut lines = Lines::open(&paths).unwrap();
    let (seen, error) = read_all(&mut lines);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(texts(&seen), ["a", "bc", "d", "a", "bc", "d", "e", "f", "e", "f"]);
    let on_disk = 2 * (members.len() + frames.len()) as u64;
    assert_eq!(lines.progress(), (on_disk, Some(on_disk)));
}

#[test]
fn a_truncated_file_gives_its_complete_lines_and_then_names_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let text: String =
        (0..20_000u64).map(|i| format!("line {i} {:x}\n", i.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    for (name, whole) in
        [("cut.gz", gzip(text.as_bytes())), ("cut.zst", zstd::encode_all(text.as_bytes(), 1).unwrap())]
    {
        let cut = file(&dir, name, &whole[..whole.len() / 2]);
        let next = file(&dir, "next.jsonl", b"after\n");
        let mut lines = Lines::open(&[cut, next]).unwrap();
        let (seen, error) = read_all(&mut lines);
        let error = error.unwrap().to_string();
        assert!(error.contains(name) && error.contains("fetch the file again"), "{error}");
        assert!(seen.len() > 1_000, "{} lines of {name}", seen.len());
        assert!(texts(&seen).iter().zip(text.lines()).all(|(a, b)| *a == b));
        assert_eq!(texts(&read_all(&mut lines).0), ["after"]);
    }
}

#[test]
fn a_plain_file_named_gz_is_reported_as_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "plain.gz", b"{\"a\": 1, \"b\": 2, \"c\": 3}\n");
    let (_, error) = read_all(&mut Lines::open(&[path]).unwrap());
    assert!(matches!(error, Some(InputError::Damaged { format: "gzip", .. })), "{error:?}");
}

#[test]
fn a_line_over_the_limit_is_cut_counted_and_hashed_and_the_next_line_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    for length in [
        LINE_LIMIT_BYTES - 1,
        LINE_LIMIT_BYTES,
        LINE_LIMIT_BYTES + 1,
        LINE_LIMIT_BYTES + 2,
        LINE_LIMIT_BYTES + 3,
        10 * LINE_LIMIT_BYTES,
    ] {
        for end in ["\n", "\r\n"] {
            // A CR inside the line belongs to it, wherever the pieces are split.
            let long: Vec<u8> = (0..length).map(|i| if i % 5 == 0 { b'\r' } else { b'x' }).collect();
            let long = [&long[..length - 1], b"y"].concat();
            let text = [b"first\n", &long[..], end.as_bytes(), b"last\n"].concat();
            let path = file(&dir, "long.jsonl", &text);
            let mut lines = Lines::open(&[path]).unwrap();
            assert_eq!(lines.next_line().unwrap().unwrap().bytes, b"first");
            let line = lines.next_line().unwrap().unwrap();
            assert_eq!((line.number, line.offset, line.length), (2, 6, length as u64));
            assert_eq!(line.bytes, &long[..length.min(LINE_LIMIT_BYTES)]);
            let hash: [u8; 32] = Sha256::digest(&long).into();
            assert_eq!(line.is_cut(), length > LINE_LIMIT_BYTES);
            assert_eq!(line.sha256, line.is_cut().then_some(hash), "{length} {end:?}");
            let last = lines.next_line().unwrap().unwrap();
            assert_eq!(
                (last.bytes, last.number, last.offset),
                (&b"last"[..], 3, (6 + length + end.len()) as u64)
            );
        }
    }
}

#[test]
fn memory_stays_bounded_whatever_the_lines_are() {
    let dir = tempfile::tempdir().unwrap();
    let text: Vec<u8> = (0..40)
        .flat_map(|i| [vec![b'x'; LINE_LIMIT_BYTES / 2 + i * 70_001], vec![b'\n']])
        .flatten()
        .collect();
    let path = file(&dir, "long.jsonl", &text);
    let mut lines = Lines::open(&[path]).unwrap();
    let mut lengths = Vec::new();
    while let Some(line) = lines.next_line().unwrap() {
        lengths.push(line.length as usize);
        assert!(lines.buffer.len() <= LINE_LIMIT_BYTES + PIECE_BYTES);
    }
    assert_eq!(lengths, (0..40).map(|i| LINE_LIMIT_BYTES / 2 + i * 70_001).collect::<Vec<_>>());
}

#[test]
fn an_unfinished_last_line_over_the_limit_is_delivered_cut() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "long.jsonl", &vec![b'x'; 3 * LINE_LIMIT_BYTES]);
    let (seen, error) = read_all(&mut Lines::open(&[path]).unwrap());
    assert!(error.is_none());
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].0.len(), seen[0].4), (LINE_LIMIT_BYTES, 3 * LINE_LIMIT_BYTES as u64));
}

#[test]
fn faults_of_set_up_are_told_before_the_first_line() {
    let dir = tempfile::tempdir().unwrap();
    let told = |paths: &[PathBuf]| Lines::open(paths).map(|_| ()).unwrap_err().to_string();
    assert!(told(&[dir.path().join("absent.jsonl")]).contains("absent.jsonl"));
    assert!(told(&[dir.path().to_owned()]).contains("is a directory"));
    assert!(told(&["-".into(), "-".into()]).contains("named 2 times"));
}

#[test]
fn standard_input_has_no_known_length() {
    let lines = Lines::open(&[]).unwrap();
    assert_eq!((lines.name(0), lines.progress()), ("stdin", (0, None)));
}

proptest::proptest! {
    #[test]
    fn any_text_gives_the_lines_that_the_standard_library_finds(
        pieces in proptest::collection::vec("[a-z\r ]{0,40}", 0..200),
        filler in 0usize..600_000,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let text = format!("{}\n{}", "z".repeat(filler), pieces.join("\n"));
        let path = file(&dir, "any.jsonl", text.as_bytes());
        let (seen, error) = read_all(&mut Lines::open(&[path]).unwrap());
        proptest::prop_assert!(error.is_none());
        let expected: Vec<&str> = text
            .split('\n')
            .map(|line| line.strip_suffix('\r').unwrap_or(line))
            .filter(|line| !line.trim_ascii().is_empty())
            .collect();
        proptest::prop_assert_eq!(texts(&seen), expected);
        for line in &seen {
            let at = usize::try_from(line.3).unwrap();
            proptest::prop_assert_eq!(&text.as_bytes()[at..at + line.0.len()], &line.0[..]);
        }
    }
}
