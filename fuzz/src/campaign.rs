use std::{
    fs, io,
    panic::{self, AssertUnwindSafe},
    path::Path,
    process,
    sync::{
        Arc, Mutex,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use crate::Target;

/// An input that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// The most bytes of an input that is made up.
const LONGEST: usize = 4096;

/// Inputs for one target: the seeds as they are, then what chance makes of them, the same for the same number.
pub struct Campaign {
    target: Target,
    seeds: Vec<Vec<u8>>,
    chance: Chance,
}

/// What an input did that it must not, and the input.
#[derive(Debug)]
pub struct Finding {
    pub input: Vec<u8>,
    pub what: String,
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers for the same seed, for ever.
struct Chance(u64);

impl Campaign {
    /// For a target whose seeds are the files in a folder; without one, all is made up.
    pub fn new(target: Target, seeds: &Path, seed: u64) -> io::Result<Self> {
        let mut paths = match fs::read_dir(seeds) {
            Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        paths.sort();
        let seeds = paths.iter().map(fs::read).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { target, seeds, chance: Chance(seed) })
    }

    /// Tries inputs until the time is up, all seeds in any case, and answers how many there were.
    pub fn run(mut self, time: Duration) -> Result<u64, Finding> {
        let start = Instant::now();
        let watch = Watch::new();
        for seed in &self.seeds {
            watch.over(&self.target, seed)?;
        }
        let mut tried = self.seeds.len() as u64;
        while start.elapsed() < time {
            let input = self.input();
            watch.over(&self.target, &input)?;
            tried += 1;
        }
        Ok(tried)
    }

    fn input(&mut self) -> Vec<u8> {
        let mut input = match self.seeds.len() {
            0 => (0..self.chance.below(LONGEST)).map(|_| self.chance.byte()).collect(),
            count => self.seeds[self.chance.below(count)].clone(),
        };
        for _ in 0..=self.chance.below(8) {
            self.mutate(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        const TELLING: [u8; 12] = [0, 1, 0x7D, 0x7E, 0x7F, 0x80, 0x81, 0x88, 0xFE, 0xFF, b'"', b'{'];

        let Self { seeds, chance, .. } = self;
        let (start, end) = chance.range(input.len());
        match chance.below(8) {
            0 if start < input.len() => input[start] ^= 1 << chance.below(8),
            1 if start < input.len() => input[start] = chance.byte(),
            2 if start < input.len() => input[start] = TELLING[chance.below(TELLING.len())],
            3 => input.insert(start, chance.byte()),
            4 => drop(input.drain(start..end)),
            5 => {
                let piece = input[start..end].to_vec();
                input.splice(start..start, piece);
            }
            6 => {
                let piece: Vec<u8> = (0..chance.below(64)).map(|_| chance.byte()).collect();
                input.splice(start..end, piece);
            }
            _ if !seeds.is_empty() => {
                let other = &seeds[chance.below(seeds.len())];
                let (from, to) = chance.range(other.len());
                input.splice(start..end, other[from..to].iter().copied());
            }
            _ => input.push(chance.byte()),
        }
    }
}

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        self.next() as u8
    }

    /// A part of something of this length.
    fn range(&mut self, len: usize) -> (usize, usize) {
        let (one, other) = (self.below(len + 1), self.below(len + 1));
        (one.min(other), one.max(other))
    }
}

/// Tries inputs while a thread looks on, which ends the process when one takes too long.
struct Watch {
    under_way: Arc<Mutex<Vec<u8>>>,
    done: Sender<()>,
}

impl Watch {
    fn new() -> Self {
        let under_way = Arc::new(Mutex::new(Vec::new()));
        let (done, is_done) = mpsc::channel();
        thread::spawn({
            let under_way = Arc::clone(&under_way);
            move || {
                loop {
                    match is_done.recv_timeout(PATIENCE) {
                        Ok(()) => {}
                        Err(RecvTimeoutError::Disconnected) => return,
                        Err(RecvTimeoutError::Timeout) => {
                            let input = under_way.lock().expect("nothing panics under it");
                            eprintln!("it hangs at the input {input:?}");
                            process::abort();
                        }
                    }
                }
            }
        });
        Self { under_way, done }
    }

    fn over(&self, target: &Target, input: &[u8]) -> Result<(), Finding> {
        input.clone_into(&mut self.under_way.lock().expect("nothing panics under it"));
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.check)(input)));
        self.done.send(()).expect("the thread ends after this");
        outcome.map_err(|panic| {
            let what = panic.downcast_ref::<String>().cloned();
            let what = what.or_else(|| panic.downcast_ref::<&str>().map(|what| (*what).to_owned()));
            Finding { input: input.to_owned(), what: what.unwrap_or_default() }
        })
    }
}
