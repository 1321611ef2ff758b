//! What the peers need: built by cargo, installed by npm.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use serde_json::Value;

/// A peer cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SupplyError {
    #[error("{command} could not be run: {source}")]
    Run { command: String, source: io::Error },
    #[error("{command} failed")]
    Failed { command: String },
    #[error("npm installed no Bun that runs here")]
    NoBun,
}

/// The program that is the Rust peers, built beside this one.
pub(super) fn peers(own_program: &Path) -> Result<PathBuf, SupplyError> {
    static BUILT: OnceLock<()> = OnceLock::new();
    let target = own_program.parent().and_then(Path::parent).unwrap_or(Path::new("target"));
    if BUILT.get().is_none() {
        let cargo = env::var_os("CARGO").unwrap_or("cargo".into());
        run(Command::new(cargo)
            .args(["build", "--release", "--locked", "--manifest-path"])
            .arg(package().join("peers/Cargo.toml"))
            .arg("--target-dir")
            .arg(target))?;
        BUILT.get_or_init(|| ());
    }
    Ok(target.join("release/axum-live-bench-peers"))
}

/// The program that is Bun, installed by npm in the version that `package.json` names.
pub(super) fn bun() -> Result<PathBuf, SupplyError> {
    let folder = bun_folder();
    if version(&folder.join("package.json"), "/dependencies/bun")
        != version(&folder.join("node_modules/bun/package.json"), "/version")
    {
        // The package's script would only link the program to where npm looks for it.
        run(Command::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder))?;
    }
    find_bun(&folder.join("node_modules/@oven")).ok_or(SupplyError::NoBun)
}

pub(super) fn bun_folder() -> PathBuf {
    package().join("bun")
}

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What stands at this place of a `package.json`; `None` if there is no such file.
fn version(package: &Path, place: &str) -> Option<String> {
    let package: Value = serde_json::from_slice(&fs::read(package).ok()?).ok()?;
    Some(package.pointer(place)?.as_str()?.to_owned())
}

/// The program among those for several kinds of machine that runs on this one; the plainest name first.
fn find_bun(folder: &Path) -> Option<PathBuf> {
    let mut programs: Vec<_> =
        fs::read_dir(folder).ok()?.flatten().map(|package| package.path().join("bin/bun")).collect();
    programs.sort_by_key(|path| path.as_os_str().len());
    programs.into_iter().find(|program| {
        let tried = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    })
}

/// Runs a command that tells how it goes where we do, so that standard output is the report alone.
fn run(command: &mut Command) -> Result<(), SupplyError> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    match command.stdin(Stdio::null()).stdout(io::stderr()).status() {
        Err(source) => Err(SupplyError::Run { command: words, source }),
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(SupplyError::Failed { command: words }),
    }
}
