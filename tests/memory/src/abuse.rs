use std::{
    env,
    error::Error,
    io::{self, Write},
    iter,
    net::TcpStream,
    process::Command,
    str::FromStr,
    thread,
    time::{Duration, Instant},
};

use axum_live::{Builder, Frame, Heartbeat, Limits, Live, Rate, Session};

use crate::{LEDGER, client, server};

/// So many that what one of them holds is told to within a few bytes, and so few that all hold no more than 200 MiB.
const CLIENTS: usize = 10;

/// What hostile clients do, by its number in the catalogue of faults.
#[derive(Clone, Copy)]
pub enum Case {
    /// 27: they begin a message and do not finish it.
    Begun,
    /// 29: a message in empty fragments.
    EmptyFragments,
    /// 30: pings without end, and they never read.
    Pings,
    /// 41: they are sent more than they read.
    Unread,
}

/// What they may do.
#[derive(Clone, Copy)]
pub enum Terms {
    /// The library's defaults.
    Default,
    /// All that can be set is lifted.
    Lifted,
}

impl Case {
    const ALL: [Self; 4] = [Self::Begun, Self::EmptyFragments, Self::Pings, Self::Unread];

    fn number(self) -> u8 {
        match self {
            Self::Begun => 27,
            Self::EmptyFragments => 29,
            Self::Pings => 30,
            Self::Unread => 41,
        }
    }

    /// What is sent over and over, and how many bytes of it, by each client or to it.
    fn load(self, terms: Terms) -> (Vec<u8>, usize) {
        match self {
            Self::Begun => {
                // As much as a message may have, save its last byte.
                let length = match terms {
                    Terms::Default => 64 << 10,
                    Terms::Lifted => 4 << 20,
                };
                let begun = [header(0x82, length as u64), vec![7; length - 1]].concat();
                let length = begun.len();
                (begun, length)
            }
            Self::EmptyFragments => {
                let fragments = [&header(0x01, 0)[..], &header(0x00, 0).repeat(199_999)].concat();
                let length = fragments.len();
                (fragments, length)
            }
            Self::Pings => ([&header(0x89, 125)[..], &[7; 125]].concat().repeat(1000), 24 << 20),
            Self::Unread => (vec![7; 16 << 10], 16 << 20),
        }
    }
}

impl Terms {
    const ALL: [Self; 2] = [Self::Default, Self::Lifted];

    fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Lifted => "lifted",
        }
    }

    fn builder(self) -> Builder<()> {
        let unlimited = Rate::danger_unlimited();
        match self {
            Self::Default => Live::builder(),
            Self::Lifted => Live::builder()
                .limits(
                    Limits::default()
                        .read_limit(usize::MAX)
                        .fragment_limit(u32::MAX)
                        .message_timeout(Duration::MAX)
                        .message_rate(unlimited)
                        .byte_rate(unlimited)
                        .control_rate(unlimited),
                )
                .queue_size(usize::MAX)
                .queue_bytes(usize::MAX)
                .memory_budget(usize::MAX)
                .write_timeout(Duration::MAX)
                .heartbeat(Heartbeat::danger_off()),
        }
    }
}

/// Prints all cases.
pub fn measure_all() -> Result<(), Box<dyn Error>> {
    Case::ALL.into_iter().try_for_each(measure)
}

/// Prints a case, with the limits and without them: each in a process of its own, so that none finds what another has
/// left.
pub fn measure(case: Case) -> Result<(), Box<dyn Error>> {
    for terms in Terms::ALL {
        let mut child = Command::new(env::current_exe()?);
        let status = child.args(["abuse", &case.number().to_string(), terms.name()]).status()?;
        if !status.success() {
            return Err(format!("case {} ended with {status}", case.number()).into());
        }
    }
    Ok(())
}

/// Suffers a case, and prints what the server held for each client at most, what it holds after a while, and what became
/// of them.
pub fn suffer(case: Case, terms: Terms) -> Result<(), Box<dyn Error>> {
    /// Longer than the longest that a default lets a client go on: a minute for a message, and the sweep after it.
    const AFTERMATH: Duration = Duration::from_secs(75);

    let live = terms.builder().on_frame(async |_: Session<()>, _: Frame| {}).build();
    let runtime = tokio::runtime::Runtime::new()?;
    let address = runtime.block_on(server::start(&live))?;
    let (piece, total) = case.load(terms);
    let connect = || client::connect(address, b"\r\n\r\n");
    let mut clients = iter::repeat_with(connect).take(CLIENTS).collect::<io::Result<Vec<_>>>()?;
    for client in &clients {
        client.set_nonblocking(true)?;
    }
    let mut left = vec![total; CLIENTS];

    let before = LEDGER.held();
    LEDGER.forget_peak();
    match case {
        Case::Unread => {
            left.fill(0);
            for _ in 0..total / piece.len() {
                for session in live.sessions() {
                    // One that is closed takes no more.
                    session.send_frame(Frame::binary(piece.clone())).ok();
                }
            }
        }
        _ => write_round_robin(&mut clients, &piece, &mut left),
    }
    let start = Instant::now();
    let is_over = || live.stats().open_sessions() + live.stats().closing_sessions() == 0;
    while start.elapsed() < AFTERMATH && !is_over() {
        thread::sleep(Duration::from_millis(100));
    }
    let each = |bytes: isize| (bytes - before) as f64 / 1024.0 / CLIENTS as f64;
    let (peak, held) = (each(LEDGER.peak()), each(LEDGER.held()));

    let sent = total - left.iter().sum::<usize>() / CLIENTS;
    let stats = live.stats();
    let codes: Vec<_> = stats.closed_by_code().into_keys().map(|code| code.map(u16::from)).collect();
    writeln!(
        io::stdout(),
        "case {}, {:>7}: {sent:>9} bytes each, held at most {peak:>8.1} KiB, then {held:>8.1}; {} open, closed {codes:?}",
        case.number(),
        terms.name(),
        stats.open_sessions(),
    )?;
    Ok(())
}

/// Writes to each client what is left, over and over, for as long as some of them can, half a minute at most.
fn write_round_robin(clients: &mut [TcpStream], piece: &[u8], left: &mut [usize]) {
    const MOST: Duration = Duration::from_secs(30);

    let (start, total) = (Instant::now(), left[0]);
    let mut gone = vec![false; clients.len()];
    while start.elapsed() < MOST && iter::zip(&*left, &gone).any(|(left, gone)| *left > 0 && !gone) {
        for ((client, left), gone) in clients.iter_mut().zip(&mut *left).zip(&mut gone) {
            if *left == 0 || *gone {
                continue;
            }
            let at = (total - *left) % piece.len();
            let end = piece.len().min(at + *left);
            match client.write(&piece[at..end]) {
                Ok(count) => *left -= count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => *gone = true,
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// The header of a masked frame, whose mask changes nothing.
fn header(first: u8, length: u64) -> Vec<u8> {
    let mut header = vec![first];
    match length {
        0..126 => header.push(0x80 | length as u8),
        _ => {
            header.push(0x80 | 127);
            header.extend(length.to_be_bytes());
        }
    }
    header.extend([0; 4]);
    header
}

impl FromStr for Case {
    type Err = String;

    fn from_str(number: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|case| case.number().to_string() == number);
        found.ok_or_else(|| format!("{number} is none of 27, 29, 30 and 41"))
    }
}

impl FromStr for Terms {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|terms| terms.name() == name);
        found.ok_or_else(|| format!("{name} is neither default nor lifted"))
    }
}
