#!/usr/bin/env bash
# Tool: ratatui 0.30.2 with crossterm 0.29.0, its backend, in a terminal that answers all questions.
# Case: one thread waits for keys with crossterm's event::read(), another draws. The picture may be
#   torn (somebody else wrote to the terminal), so the drawing thread calls Terminal::clear().
# Expected: the screen is cleared: nothing is read, so the thread that waits for keys is not in the way.
# What happens: clear() first asks the terminal where the cursor is. The answer comes on the same
#   input as keys, and the thread that waits for keys holds the lock on it. clear() waits for two
#   seconds and fails, each time; the screen is not cleared.
# Output seen:
#   nobody waits for keys: cleared
#   a thread waits for keys: failed after 2 s: The cursor position could not be read within a normal duration
#   the same, with resize() to the present size: cleared
# Instead: Terminal::resize() to the present size clears as well, and asks for nothing. Or read keys
#   with event::poll() and short waits, and clear in between on the same thread.
# Exit code: 0 as described, 1 it changed, 2 the packages could not be installed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cargo init -q --name clearing . || { echo "could not make a package"; exit 2; }
cat >>Cargo.toml <<'END'
ratatui = "=0.30.2"
crossterm = "=0.29.0"
END
cat >src/main.rs <<'END'
use std::{io::stdout, thread, time::{Duration, Instant}};
use crossterm::{event, terminal};
use ratatui::{Terminal, backend::CrosstermBackend, layout::Rect};

fn main() {
    let how = std::env::args().nth(1).unwrap_or_default();
    terminal::enable_raw_mode().unwrap();
    let mut screen = Terminal::new(CrosstermBackend::new(stdout())).unwrap();
    if how != "alone" {
        thread::spawn(|| while event::read().is_ok() {});
        thread::sleep(Duration::from_millis(300));
    }
    let began = Instant::now();
    let size = screen.size().unwrap();
    let cleared = match how.as_str() {
        "resize" => screen.resize(Rect::new(0, 0, size.width, size.height)),
        _ => screen.clear(),
    };
    terminal::disable_raw_mode().unwrap();
    match cleared {
        Ok(()) => println!("result: cleared"),
        Err(error) => println!("result: failed after {} s: {error}", began.elapsed().as_secs()),
    }
}
END
cargo build -q 2>build.log || { cat build.log; echo "could not install"; exit 2; }
# A terminal of 80 columns that says where its cursor is whenever it is asked.
cat >answering.py <<'END'
import fcntl, os, pty, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    os.execv("target/debug/clearing", ["clearing", sys.argv[1]])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
said = b""
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:
        break
    if not part:
        break
    if b"\x1b[6n" in part:
        os.write(terminal, b"\x1b[5;7R")
    said += part
os.waitpid(pid, 0)
lines = said.decode(errors="replace").splitlines()
print(next((line.split("result: ")[1] for line in lines if "result: " in line), "nothing"))
END
changed() { echo "changed: $1"; exit 1; }
alone=$(python3 answering.py alone) beside=$(python3 answering.py beside) resized=$(python3 answering.py resize)
echo "nobody waits for keys: $alone"
echo "a thread waits for keys: $beside"
echo "the same, with resize() to the present size: $resized"
[[ $alone == cleared ]] || changed "clear() alone"
[[ $beside == "failed after 2 s: The cursor position could not be read within a normal duration" ]] ||
  changed "clear() beside a thread that waits for keys"
[[ $resized == cleared ]] || changed "resize()"
echo "as described"
