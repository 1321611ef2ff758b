//! The chapter on reliability tells of every fault in the catalogue, with the tests that hold it to its word: all that
//! it names are there, and all that have a case's number are named.

#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as a test does")]

use std::{
    collections::{HashMap, HashSet},
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

/// The catalogue's cases; those between are of several servers.
const CASES: [RangeInclusive<u8>; 2] = [1..=59, 70..=77];

const COMING: &[u8] = &[
    10, 14, 16, 19, 27, 29, 30, 33, 34, 35, 38, 40, 43, 46, 47, 48, 49, 50, 51, 52, 53, 56, 58, 70, 72, 73, 74, 75, 76,
    77,
];

/// A row of the chapter's tables: a case, and what is said of it.
#[derive(Debug)]
struct Row {
    case: u8,
    cells: Vec<String>,
    tests: Vec<Test>,
}

/// A test, as a row names it or as a source has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Test {
    name: String,
    is_ignored: bool,
}

impl Row {
    /// Reads `| 7 | … | … | … | … | tests |`.
    fn parse(line: &str) -> Option<Self> {
        let cells: Vec<_> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").map(str::to_owned).collect();
        Some(Self { case: cells[0].parse().ok()?, tests: Test::named(cells.last()?), cells })
    }
}

impl Test {
    /// Reads `` `one`, `other` (ignored) ``.
    fn named(cell: &str) -> Vec<Self> {
        let pieces: Vec<_> = cell.split('`').collect();
        let test = |pair: &[&str]| Self { name: pair[0].to_owned(), is_ignored: pair[1].starts_with(" (ignored)") };
        pieces[1..].chunks_exact(2).map(test).collect()
    }

    fn of_rust(source: &str) -> Vec<Self> {
        let mut tests = Vec::new();
        let (mut is_test, mut is_ignored) = (false, false);
        for line in source.lines().map(str::trim_start).filter(|line| !line.starts_with("//")) {
            if line.starts_with("#[") {
                is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
                is_ignored |= line.starts_with("#[ignore") || line.starts_with("#[cfg_attr") && line.contains("ignore");
                continue;
            }
            let after = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
            if let Some((name, _)) = after.filter(|_| is_test).and_then(|after| after.split_once('(')) {
                tests.push(Self { name: name.to_owned(), is_ignored });
            }
            (is_test, is_ignored) = (false, false);
        }
        tests
    }

    /// Those of Node's runner that have a number: `test('c59 what it promises', …`.
    fn of_node(source: &str) -> Vec<Self> {
        let test = |line: &str| {
            let (call, rest) = line.split_once("('")?;
            let (name, options) = rest.split_once('\'')?;
            let is_ignored = call.ends_with(".skip") || options.contains("skip:");
            Some(Self { name: name.to_owned(), is_ignored }).filter(|test| test.case().is_some())
        };
        source.lines().filter_map(test).collect()
    }

    /// The case whose number it has: `c07_…`, or `c07 …` for Node.
    fn case(&self) -> Option<u8> {
        let (number, rest) = self.name.strip_prefix('c')?.split_at_checked(2)?;
        number.parse().ok().filter(|_| rest.starts_with(['_', ' ']))
    }
}

/// In what the chapter and the sources differ.
fn faults(rows: &[Row], tests: &[Test]) -> Vec<String> {
    let told: HashMap<_, _> = rows.iter().map(|row| (row.case, row)).collect();
    let there: HashMap<_, _> = tests.iter().map(|test| (test.name.as_str(), test)).collect();
    let mut faults = Vec::new();
    for case in CASES.into_iter().flatten().filter(|case| !told.contains_key(case) && !COMING.contains(case)) {
        faults.push(format!("case {case} is not told of"));
    }
    for pair in rows.windows(2).filter(|pair| pair[0].case >= pair[1].case) {
        faults.push(format!("case {} comes after {}", pair[1].case, pair[0].case));
    }
    for row in rows {
        if row.cells.len() != 6 || row.cells.iter().any(|cell| cell.trim().is_empty()) {
            faults.push(format!("case {} does not have six cells with something in them", row.case));
        }
        if row.tests.is_empty() {
            faults.push(format!("case {} has no test", row.case));
        }
        for test in &row.tests {
            match there.get(test.name.as_str()) {
                None => faults.push(format!("{} of case {} does not exist", test.name, row.case)),
                Some(there) if there.is_ignored != test.is_ignored => {
                    faults.push(format!("{} is ignored, or is not, other than case {} says", test.name, row.case));
                }
                Some(_) => {}
            }
        }
    }
    for test in tests {
        let Some(case) = test.case().filter(|case| !COMING.contains(case)) else { continue };
        if !told.get(&case).is_some_and(|row| row.tests.iter().any(|named| named.name == test.name)) {
            faults.push(format!("{} is not named by case {case}", test.name));
        }
    }
    faults
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The tests in the sources below a folder.
fn collect(folder: &Path, tests: &mut Vec<Test>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_str().unwrap();
        let read = || fs::read_to_string(&entry).unwrap();
        match name.rsplit_once('.') {
            None if entry.is_dir() && !["target", "node_modules"].contains(&name) => collect(&entry, tests),
            Some((_, "rs")) => tests.extend(Test::of_rust(&read())),
            Some((_, "mjs")) => tests.extend(Test::of_node(&read())),
            _ => {}
        }
    }
}

#[test]
fn the_chapter_names_the_tests_of_every_case_and_no_others() {
    let chapter = fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let rows: Vec<_> = chapter.lines().filter_map(Row::parse).collect();
    let mut tests = Vec::new();
    for folder in ["crates", "tests"] {
        collect(&root().join(folder), &mut tests);
    }
    let names: HashSet<_> = tests.iter().map(|test| &test.name).collect();
    assert!(names.len() > 300, "{} tests are not all there are", names.len());
    assert_eq!(faults(&rows, &tests), [""; 0]);
}

#[test]
fn tests_are_found_in_rust_and_for_node() {
    let test = |name: &str, is_ignored| Test { name: name.into(), is_ignored };
    let rust = "#[test]\nfn c01_a() {}\nfn c02_helper() {}\n#[tokio::test(start_paused = true)]\n// why\n\
                #[ignore = \"long\"]\nasync fn c03_b() {}\n    #[test]\n    fn plain(acts in any()) {}\n";
    assert_eq!(Test::of_rust(rust), [test("c01_a", false), test("c03_b", true), test("plain", false)]);
    let node = "test('c59 a', LIMIT, async () => {\ntest('plain', f);\npromise.skip('c01 b', f);\n\
                test('c02 c', { skip: true }, f);\n";
    assert_eq!(Test::of_node(node), [test("c59 a", false), test("c01 b", true), test("c02 c", true)]);
    assert_eq!(
        Test::named("`c01_a`, `b` (ignored), `c01 c`"),
        [test("c01_a", false), test("b", true), test("c01 c", false)]
    );
}

#[test]
fn what_differs_is_found_out() {
    let row = |case, tests| format!("| {case} | what | client | server | setting | {tests} |");
    let rows = |rows: &[String]| rows.iter().filter_map(|row| Row::parse(row)).collect::<Vec<_>>();
    let found = |rows: &[Row], source: &str| {
        let mut faults = faults(rows, &Test::of_rust(source));
        faults.retain(|fault| !fault.ends_with("is not told of"));
        faults
    };
    let source = "#[test]\nfn c01_a() {}\n#[test]\n#[ignore]\nfn c02_b() {}\n";
    let good = [row(1, "`c01_a`"), row(2, "`c02_b` (ignored)")];
    assert_eq!(found(&rows(&good), source), [""; 0]);
    for (told, fault) in [
        ([row(1, "`c01_a`"), row(2, "`c02_b`")], "c02_b is ignored, or is not, other than case 2 says"),
        (
            [row(1, "`c01_a` (ignored)"), row(2, "`c02_b` (ignored)")],
            "c01_a is ignored, or is not, other than case 1 says",
        ),
        ([row(1, "`c01_a`, `c01_z`"), row(2, "`c02_b` (ignored)")], "c01_z of case 1 does not exist"),
        ([row(1, "`c01_a`"), row(2, "`c01_a`")], "c02_b is not named by case 2"),
        ([row(2, "`c02_b` (ignored)"), row(1, "`c01_a`")], "case 1 comes after 2"),
        (
            [row(1, "`c01_a`").replace("client", ""), row(2, "`c02_b` (ignored)")],
            "case 1 does not have six cells with something in them",
        ),
    ] {
        assert_eq!(found(&rows(&told), source), [fault]);
    }
    assert_eq!(found(&rows(&[row(1, "none")]), ""), ["case 1 has no test"]);
    assert!(faults(&[], &[]).contains(&"case 1 is not told of".into()));
}
