use std::{
    error::Error,
    fs,
    io::{self, Write},
    thread,
};

use axum_live::{Live, Session};

use crate::{LEDGER, client, server};

/// Descriptors are two a session here, and limits are often a little over a thousand or twenty thousand.
pub const SESSIONS: usize = 4000;

/// Opens idle sessions, twice as many as asked for, and prints what each of the second half holds: every allocation by
/// its size, and the process's resident memory.
pub fn measure(sessions: usize) -> Result<(), Box<dyn Error>> {
    let subscribe = async |session: Session<()>| {
        session.subscribe("news").ok();
        session.send("welcome", &()).ok();
    };
    let live = Live::<()>::builder().on_connect(subscribe).on_message(async |_, _| {}).build();
    let runtime = tokio::runtime::Runtime::new()?;
    let address = runtime.block_on(server::start(&live))?;
    let mut clients = Vec::with_capacity(2 * sessions);
    let mut open = |count: usize| -> io::Result<()> {
        for _ in 0..count {
            clients.push(client::connect(address, b"}")?);
        }
        Ok(())
    };
    // What is allocated once, and the first growth of every table, is no session's.
    open(sessions)?;
    let (before, resident_before) = (LEDGER.balance(), resident()?);
    open(sessions)?;
    let (after, resident_after) = (LEDGER.balance(), resident()?);

    let each = |count: isize| count as f64 / sessions as f64;
    let mut out = io::stdout().lock();
    writeln!(out, "{:>9} {:>9} {:>9} {:>9}", "bytes", "alignment", "each", "bytes")?;
    let mut total = 0.0;
    for (layout, count) in after.since(&before).filter(|(_, count)| each(*count) >= 0.01) {
        let bytes = each(count) * layout.size() as f64;
        total += bytes;
        writeln!(out, "{:>9} {:>9} {:>9.2} {:>9.0}", layout.size(), layout.align(), each(count), bytes)?;
    }
    writeln!(
        out,
        "asked for: {total:.0} bytes a session; resident: {:.0}",
        (resident_after - resident_before) / sessions as f64
    )?;
    Ok(())
}

/// Bytes.
fn resident() -> Result<f64, Box<dyn Error>> {
    // What was just freed is given back, or it would be found resident by chance.
    thread::yield_now();
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0)
}
