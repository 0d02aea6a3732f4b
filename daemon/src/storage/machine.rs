//! Figures of the machine and of single processes, as the kernel counts them.

use std::fs;
use std::path::Path;

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Figures of the machine. Those that cannot be had are absent: a unit may hide parts of `/proc`.
#[derive(Clone, Debug, Default)]
pub(crate) struct MachineFigures {
    pub(crate) uptime_s: Option<u64>,
    pub(crate) cpus: u32,
    pub(crate) cpu_usage_percent: Option<f64>,
    pub(crate) load: Option<[f64; 3]>,
    pub(crate) memory_total_bytes: Option<u64>,
    pub(crate) memory_available_bytes: Option<u64>,
    pub(crate) swap_total_bytes: Option<u64>,
    pub(crate) swap_used_bytes: Option<u64>,
    pub(crate) temperature_celsius: Option<f64>,
}

/// Figures of a process.
#[derive(Clone, Debug)]
pub(crate) struct ProcessFigures {
    pub(crate) uptime_s: u64,
    pub(crate) cpu_s: f64,
    pub(crate) resident_bytes: u64,
    pub(crate) virtual_bytes: u64,
    pub(crate) open_descriptors: Option<u64>,
    pub(crate) threads: Option<u64>,
}

/// Looks at the machine. Remembers the last look: how busy it is can only be told of a span of time.
pub(crate) struct Machine(Option<System>);

impl Machine {
    /// Has its first look.
    pub(crate) fn new() -> Self {
        let mut system = System::new().ok();
        if let Some(system) = &mut system {
            system.refresh_cpu_usage();
        }
        Self(system)
    }

    /// Figures of the machine, now.
    pub(crate) fn figures(&mut self) -> MachineFigures {
        let Some(system) = &mut self.0 else { return MachineFigures::default() };
        system.refresh_memory();
        system.refresh_cpu_usage();
        // Where there is no memory, nothing of this kind could be read.
        let memory_total_bytes = Some(system.total_memory()).filter(|bytes| *bytes > 0);
        let known = |bytes: u64| memory_total_bytes.map(|_| bytes);
        MachineFigures {
            uptime_s: System::uptime().ok().filter(|seconds| *seconds > 0),
            cpus: u32::try_from(system.cpus().len()).unwrap_or(u32::MAX),
            cpu_usage_percent: (!system.cpus().is_empty()).then(|| f64::from(system.global_cpu_usage())),
            load: System::load_average().ok().map(|load| [load.one, load.five, load.fifteen]),
            memory_total_bytes,
            memory_available_bytes: known(system.available_memory()),
            swap_total_bytes: known(system.total_swap()),
            swap_used_bytes: known(system.used_swap()),
            temperature_celsius: temperature(),
        }
    }

    /// Figures of a process. None when there is none that this user can see.
    pub(crate) fn process(&mut self, pid: u32) -> Option<ProcessFigures> {
        let (system, id) = (self.0.as_mut()?, Pid::from_u32(pid));
        let wanted = ProcessRefreshKind::nothing().with_memory().with_cpu();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[id]), true, wanted);
        let process = system.process(id)?;
        Some(ProcessFigures {
            uptime_s: process.run_time(),
            cpu_s: std::time::Duration::from_millis(process.accumulated_cpu_time()).as_secs_f64(),
            resident_bytes: process.memory(),
            virtual_bytes: process.virtual_memory(),
            open_descriptors: entries(&format!("/proc/{pid}/fd")),
            threads: entries(&format!("/proc/{pid}/task")),
        })
    }
}

fn entries(directory: &str) -> Option<u64> {
    u64::try_from(fs::read_dir(directory).ok()?.count()).ok()
}

/// Of the first zone, which is the processor's on the boards that we know (kernel: `Documentation/driver-api/thermal`).
fn temperature() -> Option<f64> {
    let text = fs::read_to_string(Path::new("/sys/class/thermal/thermal_zone0/temp")).ok()?;
    Some(f64::from(text.trim().parse::<i32>().ok()?) / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_and_this_process_have_figures() {
        let mut machine = Machine::new();
        let figures = machine.figures();
        assert!(figures.cpus >= 1 && figures.memory_total_bytes > figures.memory_available_bytes, "{figures:?}");
        let process = machine.process(std::process::id()).unwrap();
        assert!(process.resident_bytes > 100_000 && process.threads >= Some(1), "{process:?}");
        assert!(process.open_descriptors >= Some(3), "{process:?}");
        assert!(machine.process(u32::MAX / 2).is_none());
    }
}
