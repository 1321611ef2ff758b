//! Runs the fuzz targets for a while each, on stable Rust and without a look at what they cover.
//!
//! ```text
//! cargo run -- [--seconds 10] [--seed NUMBER] [TARGET...]
//! cargo run -- --input FILE TARGET
//! ```
//!
//! A run with the same seed tries the same inputs. An input that fails is written to `artifacts/`.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime},
};

use axum_live_fuzz::{
    TARGETS, Target,
    campaign::{Campaign, Finding},
};

/// What was asked for.
struct Order {
    seconds: u64,
    seed: u64,
    input: Option<PathBuf>,
    names: Vec<String>,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let order = Order::read(env::args().skip(1))?;
    let targets = TARGETS.into_iter().filter(|target| order.includes(target));
    if let Some(path) = &order.input {
        let input = fs::read(path)?;
        targets.for_each(|target| (target.check)(&input));
        return Ok(ExitCode::SUCCESS);
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut exit = ExitCode::SUCCESS;
    for target in targets {
        let name = target.name;
        let campaign = Campaign::new(target, &folder.join("seeds").join(name), order.seed)?;
        match campaign.run(Duration::from_secs(order.seconds)) {
            Ok(tried) => println!("{name}: {tried} inputs of seed {} kept their promises", order.seed),
            Err(finding) => {
                let path = keep(&folder.join("artifacts").join(name), &finding)?;
                println!("{name}: FAILED by seed {}: {}", order.seed, finding.what);
                println!("again: cargo run -- --input {} {name}", path.display());
                exit = ExitCode::FAILURE;
            }
        }
    }
    Ok(exit)
}

/// Writes the input to a file in a folder.
fn keep(folder: &Path, finding: &Finding) -> std::io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let path = folder.join("found");
    fs::write(&path, &finding.input)?;
    Ok(path)
}

impl Order {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let mut order = Self { seconds: 10, seed: now.as_secs(), input: None, names: Vec::new() };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--seconds" => order.seconds = words.next().ok_or("how many seconds?")?.parse()?,
                "--seed" => order.seed = words.next().ok_or("which seed?")?.parse()?,
                "--input" => order.input = Some(words.next().ok_or("which file?")?.into()),
                name if TARGETS.iter().any(|target| target.name == name) => order.names.push(word),
                _ => return Err(format!("there is no target {word}").into()),
            }
        }
        if order.input.is_some() && order.names.len() != 1 {
            return Err("an input is for one target: name it".into());
        }
        Ok(order)
    }

    fn includes(&self, target: &Target) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| name == target.name)
    }
}
