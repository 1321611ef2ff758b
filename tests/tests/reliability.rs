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

/// Of these the chapter does not tell yet.
const COMING: &[u8] = &[76];

/// What the chapter says, by the rows of its tables.
#[derive(Debug, Default)]
struct Chapter {
    /// `| 7 | what happens | the client | the server | what governs it |`.
    told: Vec<(u8, Vec<String>)>,
    /// `` | 7 | `c07_one`, `other` (ignored) | ``.
    tests: Vec<(u8, Vec<Test>)>,
}

/// A test, as a row names it or as a source has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Test {
    name: String,
    is_ignored: bool,
}

impl Chapter {
    fn parse(text: &str) -> Self {
        let mut chapter = Self::default();
        for line in text.lines() {
            let row = line.strip_prefix("| ").and_then(|row| row.strip_suffix(" |"));
            let Some((number, rest)) = row.and_then(|row| row.split_once(" | ")) else { continue };
            let Ok(case) = number.parse() else { continue };
            let cells: Vec<_> = rest.split(" | ").map(str::to_owned).collect();
            match &cells[..] {
                [tests] => chapter.tests.push((case, Test::named(tests))),
                _ => chapter.told.push((case, cells)),
            }
        }
        chapter
    }

    /// In what it differs from the tests that there are.
    fn faults(&self, tests: &[Test]) -> Vec<String> {
        let there: HashMap<_, _> = tests.iter().map(|test| (test.name.as_str(), test)).collect();
        let named: HashMap<_, _> = self.tests.iter().map(|(case, tests)| (case, tests)).collect();
        let told: HashSet<_> = self.told.iter().map(|(case, _)| case).collect();
        let mut faults = Vec::new();
        for case in CASES.into_iter().flatten().filter(|case| !COMING.contains(case)) {
            if !told.contains(&case) {
                faults.push(format!("case {case} is not told of"));
            }
            if named.get(&case).is_none_or(|tests| tests.is_empty()) {
                faults.push(format!("case {case} has no test"));
            }
        }
        if !self.told.is_sorted_by(|(one, _), (next, _)| one < next) {
            faults.push("the cases are not told of in their order, each once".into());
        }
        if !self.tests.is_sorted_by(|(one, _), (next, _)| one < next) {
            faults.push("the tests are not named in the order of their cases, each case once".into());
        }
        for (case, cells) in &self.told {
            if cells.len() != 4 || cells.iter().any(|cell| cell.trim().is_empty()) {
                faults.push(format!("case {case} does not have four cells with something in them"));
            }
        }
        for (case, test) in self.tests.iter().flat_map(|(case, tests)| tests.iter().map(move |test| (case, test))) {
            match there.get(test.name.as_str()) {
                None => faults.push(format!("{} of case {case} does not exist", test.name)),
                Some(there) if there.is_ignored != test.is_ignored => {
                    faults.push(format!("{} is ignored, or is not, other than case {case} says", test.name));
                }
                Some(_) => {}
            }
        }
        for test in tests {
            let Some(case) = test.case().filter(|case| !COMING.contains(case)) else { continue };
            if !named.get(&case).is_some_and(|tests| tests.iter().any(|named| named.name == test.name)) {
                faults.push(format!("{} is not named by case {case}", test.name));
            }
        }
        faults
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
    let mut tests = Vec::new();
    for folder in ["crates", "tests"] {
        collect(&root().join(folder), &mut tests);
    }
    let names: HashSet<_> = tests.iter().map(|test| &test.name).collect();
    assert!(names.len() > 300, "{} tests are not all there are", names.len());
    assert_eq!(Chapter::parse(&chapter).faults(&tests), [""; 0]);
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
    let source = "#[test]\nfn c01_a() {}\n#[test]\n#[ignore]\nfn c02_b() {}\n";
    let told = "| 1 | what | client | server | setting |\n| 2 | what | client | server | – |\n";
    let good = "| 1 | `c01_a` |\n| 2 | `c02_b` (ignored) |\n";
    let found = |told: &str, named: &str| {
        let mut faults = Chapter::parse(&format!("{told}{named}")).faults(&Test::of_rust(source));
        // Of the others nothing is said here.
        faults.retain(|fault| {
            !fault.starts_with("case ") || fault.starts_with("case 1 ") || fault.starts_with("case 2 ")
        });
        faults
    };
    assert_eq!(found(told, good), [""; 0]);

    let (first, second) = told.split_at(told.find('\n').unwrap() + 1);
    assert_eq!(found(first, good), ["case 2 is not told of"]);
    let order = "the cases are not told of in their order, each once";
    assert_eq!(found(&format!("{second}{first}"), good), [order]);
    assert_eq!(found(&format!("{told}{second}"), good), [order]);
    let empty = "case 1 does not have four cells with something in them";
    assert_eq!(found(&told.replacen("client", "", 1), good), [empty]);

    for (named, faults) in [
        ("| 1 | `c01_a` |\n| 2 | `c02_b` |\n", &["c02_b is ignored, or is not, other than case 2 says"][..]),
        (
            "| 1 | `c01_a` (ignored) |\n| 2 | `c02_b` (ignored) |\n",
            &["c01_a is ignored, or is not, other than case 1 says"],
        ),
        ("| 1 | `c01_a`, `c01_z` |\n| 2 | `c02_b` (ignored) |\n", &["c01_z of case 1 does not exist"]),
        ("| 1 | `c01_a` |\n| 2 | `c01_a` |\n", &["c02_b is not named by case 2"]),
        ("| 1 | `c01_a` |\n| 2 | by hand |\n", &["case 2 has no test", "c02_b is not named by case 2"]),
        (
            "| 2 | `c02_b` (ignored) |\n| 1 | `c01_a` |\n",
            &["the tests are not named in the order of their cases, each case once"],
        ),
    ] {
        assert_eq!(found(told, named), faults);
    }
}
