//! The kernel's figures of this process, from `/proc`. On other systems than Linux there is
//! nothing to read, and the metrics are absent.
//!
//! Four numbers in three small files; a crate for it would bring code for all of `/proc`.

use std::fs;

/// Clock ticks a second in `/proc`: fixed by the kernel's interface at 100 on every
/// architecture that Ferry is built for, whatever the kernel's own clock does.
const TICKS: f64 = 100.0;

/// Processor time in seconds, user and system.
pub(crate) fn cpu_seconds() -> Option<f64> {
    let stat = stat()?;
    Some((stat.utime + stat.stime) / TICKS)
}

/// Start in seconds since the Unix epoch.
pub(crate) fn started_at() -> Option<f64> {
    Some(booted_at(&fs::read_to_string("/proc/stat").ok()?)? + stat()?.start / TICKS)
}

/// Resident memory in bytes.
pub(crate) fn resident_bytes() -> Option<f64> {
    resident(&fs::read_to_string("/proc/self/status").ok()?)
}

/// Open file descriptors, without the one that counts them.
pub(crate) fn open_fds() -> Option<f64> {
    let open = fs::read_dir("/proc/self/fd").ok()?.count();
    u32::try_from(open.saturating_sub(1)).ok().map(f64::from)
}

/// Times in ticks.
#[derive(Debug, PartialEq)]
struct Stat {
    utime: f64,
    stime: f64,
    /// Start of the process, since boot.
    start: f64,
}

fn stat() -> Option<Stat> {
    parse_stat(&fs::read_to_string("/proc/self/stat").ok()?)
}

fn parse_stat(line: &str) -> Option<Stat> {
    // The second field is the program's name in brackets, and may hold spaces and brackets.
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
    // Numbered from 1 in the manual; what is left begins with the third.
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    Some(Stat { utime: field(14)?, stime: field(15)?, start: field(22)? })
}

fn booted_at(stat: &str) -> Option<f64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn resident(status: &str) -> Option<f64> {
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = kilobytes.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let line = "42 (a b) c) S 1 42 42 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 4 0 7700 1000 200 18446744073709551615 1";
        assert_eq!(parse_stat(line), Some(Stat { utime: 250.0, stime: 50.0, start: 7700.0 }));
        assert_eq!(parse_stat("42 (short) S 1"), None);
    }

    #[test]
    fn memory_is_in_bytes_and_boot_in_seconds() {
        assert_eq!(resident("VmPeak:\t 9 kB\nVmRSS:\t  2048 kB\n"), Some(2_097_152.0));
        assert_eq!(resident("Name: x\n"), None);
        assert_eq!(booted_at("cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_000.0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_knows_this_process() {
        assert!(resident_bytes().unwrap() > 1e5);
        assert!(open_fds().unwrap() >= 3.0);
        assert!(started_at().unwrap() > 1.6e9);
        assert!(cpu_seconds().is_some());
    }
}
