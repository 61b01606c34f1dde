//! A program for the device that makes three system calls which a program of an image need not make: it asks the kernel
//! to take a module, to be traced, and for a user namespace. The bench, which is root, mounts a folder for it: nothing that an image
//! mounts for writing runs programs. No call can succeed on a device as it should be.

/// Its machine code: `init_module(0, 0, 0)`, `ptrace(PTRACE_TRACEME, 0, 0, 0)`, `unshare(CLONE_NEWUSER)`, `exit(0)`.
const ARM64: [u32; 15] = [
    0xd280_0000, // mov x0, #0
    0xd280_0001, // mov x1, #0
    0xd280_0002, // mov x2, #0
    0xd280_0003, // mov x3, #0
    0xd280_0d28, // mov x8, #105
    0xd400_0001, // svc #0
    0xd280_0000, // mov x0, #0
    0xd280_0ea8, // mov x8, #117
    0xd400_0001, // svc #0
    0xd2a2_0000, // mov x0, #0x10000000
    0xd280_0c28, // mov x8, #97
    0xd400_0001, // svc #0
    0xd280_0000, // mov x0, #0
    0xd280_0ba8, // mov x8, #93
    0xd400_0001, // svc #0
];
const ARM: [u32; 15] = [
    0xe3a0_0000, // mov r0, #0
    0xe3a0_1000, // mov r1, #0
    0xe3a0_2000, // mov r2, #0
    0xe3a0_3000, // mov r3, #0
    0xe3a0_7080, // mov r7, #128
    0xef00_0000, // svc 0
    0xe3a0_0000, // mov r0, #0
    0xe3a0_701a, // mov r7, #26
    0xef00_0000, // svc 0
    0xe3a0_0201, // mov r0, #0x10000000
    0xe300_7151, // movw r7, #337
    0xef00_0000, // svc 0
    0xe3a0_0000, // mov r0, #0
    0xe3a0_7001, // mov r7, #1
    0xef00_0000, // svc 0
];
const RISCV64: [u32; 15] = [
    0x0000_0513, // li a0, 0
    0x0000_0593, // li a1, 0
    0x0000_0613, // li a2, 0
    0x0000_0693, // li a3, 0
    0x0690_0893, // li a7, 105
    0x0000_0073, // ecall
    0x0000_0513, // li a0, 0
    0x0750_0893, // li a7, 117
    0x0000_0073, // ecall
    0x1000_0537, // lui a0, 0x10000
    0x0610_0893, // li a7, 97
    0x0000_0073, // ecall
    0x0000_0513, // li a0, 0
    0x05d0_0893, // li a7, 93
    0x0000_0073, // ecall
];

/// Where it lies on the device.
const PLACE: &str = "/run/calls/calls";
const MOUNT: &str = "mkdir /run/calls; mount -t tmpfs -o mode=755 tmpfs /run/calls";

/// Where it is mapped; any page would do.
const BASE: u32 = 0x10000;

/// The shell commands that make a place where programs run, and write it to [`PLACE`]; `None` for an architecture (Debian's name) without one.
pub(super) fn command(architecture: &str) -> Option<String> {
    let bytes = program(architecture)?;
    let escaped: String = bytes.iter().map(|byte| format!("\\{byte:03o}")).collect();
    Some(format!("{MOUNT}; printf '{escaped}' >{PLACE}; chmod 755 {PLACE}"))
}

/// An ELF executable with one segment.
fn program(architecture: &str) -> Option<Vec<u8>> {
    // e_machine, e_flags (the EABI's version 5 on ARM), wide, code
    let (machine, flags, wide, code) = match architecture {
        "arm64" => (183_u16, 0_u32, true, ARM64),
        "armhf" => (40, 0x0500_0000, false, ARM),
        "riscv64" => (243, 0, true, RISCV64),
        _ => return None,
    };
    let (header, segment): (u16, u16) = if wide { (64, 56) } else { (52, 32) };
    let start = u32::from(header) + u32::from(segment);
    let size = start + 4 * u32::try_from(code.len()).ok()?;
    let mut out = b"\x7fELF".to_vec();
    out.extend([if wide { 2 } else { 1 }, 1, 1]);
    out.resize(16, 0);
    let half = |out: &mut Vec<u8>, value: u16| out.extend(value.to_le_bytes());
    let word = |out: &mut Vec<u8>, value: u32| out.extend(value.to_le_bytes());
    // Of the class's own size.
    let long = |out: &mut Vec<u8>, value: u32| {
        word(out, value);
        if wide {
            word(out, 0);
        }
    };
    // e_type ET_EXEC, e_machine, e_version
    half(&mut out, 2);
    half(&mut out, machine);
    word(&mut out, 1);
    // e_entry, e_phoff, e_shoff
    long(&mut out, BASE + start);
    long(&mut out, header.into());
    long(&mut out, 0);
    word(&mut out, flags);
    // e_ehsize, e_phentsize, e_phnum, and no sections
    for value in [header, segment, 1, 0, 0, 0] {
        half(&mut out, value);
    }
    // p_type PT_LOAD; p_flags (read and run) stands here in the wide form, else behind p_memsz
    word(&mut out, 1);
    if wide {
        word(&mut out, 5);
    }
    // p_offset, p_vaddr, p_paddr, p_filesz, p_memsz
    for value in [0, BASE, BASE, size, size] {
        long(&mut out, value);
    }
    if !wide {
        word(&mut out, 5);
    }
    long(&mut out, 0x1000);
    for instruction in code {
        word(&mut out, instruction);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Read by binutils: one segment from the file's first byte to its last, in which the entry is the first instruction.
    #[test]
    fn each_architecture_has_a_program_that_starts_at_its_code() {
        let folder = tempfile::tempdir().unwrap();
        for (name, machine, start) in
            [("arm64", "AArch64", 0x78), ("armhf", "ARM", 0x54), ("riscv64", "RISC-V", 0x78)]
        {
            let bytes = program(name).unwrap();
            assert_eq!(bytes.len() - start, 60, "{name}");
            let file = folder.path().join(name);
            std::fs::write(&file, &bytes).unwrap();
            let read = std::process::Command::new("readelf").arg("-hlW").arg(&file).output().unwrap();
            assert!(read.stderr.is_empty(), "{}", String::from_utf8_lossy(&read.stderr));
            let text = String::from_utf8(read.stdout).unwrap();
            let after = |label: &str| {
                text.lines()
                    .find_map(|line| line.trim().strip_prefix(label))
                    .unwrap_or_default()
                    .trim()
                    .to_owned()
            };
            assert_eq!(after("Machine:"), machine);
            assert!(after("Type:").starts_with("EXEC"), "{text}");
            assert_eq!(after("Entry point address:"), format!("{:#x}", 0x10000 + start));
            let load = after("LOAD");
            let words: Vec<&str> = load.split_whitespace().collect();
            assert_eq!(u32::from_str_radix(&words[1][2..], 16), Ok(BASE));
            assert_eq!(usize::from_str_radix(&words[3][2..], 16), Ok(bytes.len()));
            assert_eq!(words[5..7], ["R", "E"], "{text}");
        }
        assert!(program("amd64").is_none() && command("amd64").is_none());
    }

    /// No byte of them may mean something to the shell or its printf.
    #[test]
    fn the_shell_writes_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("calls");
        for name in ["arm64", "armhf", "riscv64"] {
            let command = command(name).unwrap();
            let command = command.strip_prefix(MOUNT).and_then(|rest| rest.strip_prefix("; ")).unwrap();
            let command = command.replace(PLACE, to.to_str().unwrap());
            assert!(std::process::Command::new("sh").args(["-c", &command]).status().unwrap().success());
            assert_eq!(std::fs::read(&to).unwrap(), program(name).unwrap(), "{name}");
        }
    }
}
