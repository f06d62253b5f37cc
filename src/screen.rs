//! The whole terminal as a screen: opened for a view, and given back however the process ends.
//!
//! It is drawn on stderr, as all talk is. Log lines wait until it is given back.

use std::{
    io::{self, BufWriter, Stderr, Write},
    sync::{
        Arc, Once,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor::{Hide, Show},
        event::{self, Event},
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
    layout::{Position, Rect},
};
use tokio::sync::mpsc;

/// How long the thread that reads keys waits before it looks whether it is to end.
const KEY: Duration = Duration::from_millis(50);
/// How often it is looked whether that thread has ended, at the end.
const LOOKS: u32 = 20;
/// Keys that are kept while nobody takes them.
const KEYS: usize = 64;

/// Whether the terminal is ours.
static OPEN: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// A terminal that is drawn on.
pub struct Screen {
    pub terminal: Terminal<CrosstermBackend<BufWriter<Stderr>>>,
    events: mpsc::Receiver<Event>,
    reading: Arc<AtomicBool>,
    reader: JoinHandle<()>,
}

impl Screen {
    /// # Errors
    /// When the terminal can't be set up.
    pub fn open() -> io::Result<Self> {
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                before(panic);
            }));
        });
        OPEN.store(true, Ordering::SeqCst);
        let terminal = enter().inspect_err(|_| restore())?;
        let (tell, events) = mpsc::channel(KEYS);
        let reading = Arc::new(AtomicBool::new(true));
        let on = reading.clone();
        let reader = std::thread::spawn(move || read(&on, &tell));
        Ok(Screen { terminal, events, reading, reader })
    }

    /// Has the next page drawn as a whole. `Terminal::clear` asks the terminal where its cursor is, and the answer
    /// would go to the thread that reads keys.
    pub fn clear(&mut self) -> io::Result<()> {
        let size = self.terminal.size()?;
        self.terminal.resize(Rect::from((Position::ORIGIN, size)))
    }

    /// The next key or change of size; `None` when the terminal is gone.
    pub async fn event(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.reading.store(false, Ordering::SeqCst);
        self.events.close();
        // Else it takes what is typed for the shell. It never ends where the terminal is gone: crossterm
        // reads on then, whatever the error is.
        for _ in 0..LOOKS {
            if self.reader.is_finished() {
                break;
            }
            std::thread::sleep(KEY / 5);
        }
        restore();
    }
}

fn enter() -> io::Result<Terminal<CrosstermBackend<BufWriter<Stderr>>>> {
    ferry_telemetry::hold_lines();
    enable_raw_mode()?;
    let mut out = BufWriter::new(io::stderr());
    execute!(out, EnterAlternateScreen, Hide)?;
    Terminal::new(CrosstermBackend::new(out))
}

fn read(on: &AtomicBool, tell: &mpsc::Sender<Event>) {
    while on.load(Ordering::SeqCst) {
        match event::poll(KEY) {
            Ok(false) => {}
            Ok(true) => match event::read() {
                Ok(event) => {
                    if tell.blocking_send(event).is_err() {
                        return;
                    }
                }
                Err(_) => return,
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Whether the terminal is ours: what is written beside the view would spoil it.
pub fn is_open() -> bool {
    OPEN.load(Ordering::SeqCst)
}

/// Gives the terminal back, if it is ours. What fails has no remedy.
pub fn restore() {
    if !OPEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let _ = disable_raw_mode();
    let mut out = io::stderr();
    let _ = execute!(out, LeaveAlternateScreen, Show);
    let _ = out.flush();
    ferry_telemetry::release_lines();
}
