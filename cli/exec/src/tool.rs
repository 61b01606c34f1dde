//! External tools as data.

use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};

/// A program of the host that Fastness may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tool {
    /// Program name, looked up in `PATH` and the `sbin` folders.
    pub program: &'static str,
    /// What Fastness does with it.
    pub purpose: &'static str,
    /// Debian package that brings it.
    pub package: &'static str,
}

/// What [`crate::Call`] starts every other tool with.
pub(crate) const SETPRIV: Tool =
    Tool { program: "setpriv", purpose: "ends the tools when fastness is killed", package: "util-linux" };

/// Every tool, sorted by program. `ci/setup` installs their packages.
pub const TOOLS: &[Tool] = &[
    Tool {
        program: "aarch64-linux-gnu-gcc",
        purpose: "compiles U-Boot and Linux for 64-bit Arm",
        package: "gcc-aarch64-linux-gnu",
    },
    Tool { program: "apt-get", purpose: "resolves, fetches and verifies packages", package: "apt" },
    Tool { program: "apt-helper", purpose: "fetches and verifies one file", package: "apt" },
    Tool {
        program: "arm-linux-gnueabihf-gcc",
        purpose: "compiles U-Boot and Linux for 32-bit Arm",
        package: "gcc-arm-linux-gnueabihf",
    },
    Tool { program: "bc", purpose: "computes in Linux's build", package: "bc" },
    Tool { program: "bison", purpose: "makes Kconfig's parser", package: "bison" },
    Tool { program: "curl", purpose: "fetches a Buildroot release", package: "curl" },
    Tool {
        program: "debugfs",
        purpose: "writes a test's identity into a copy of the data partition",
        package: "e2fsprogs",
    },
    Tool { program: "dpkg-deb", purpose: "unpacks packages", package: "dpkg" },
    Tool {
        program: "dtc",
        purpose: "compiles device trees, in U-Boot's build and from an `.its`",
        package: "device-tree-compiler",
    },
    Tool {
        program: "e2fsck",
        purpose: "replays the journal of an emulated device's data partition",
        package: "e2fsprogs",
    },
    Tool { program: "flex", purpose: "makes Kconfig's lexer", package: "flex" },
    Tool { program: "gcc", purpose: "compiles host programs of U-Boot and Linux", package: "gcc" },
    Tool { program: "git", purpose: "tells commits and local changes of given trees", package: "git" },
    Tool { program: "make", purpose: "drives U-Boot's and Linux's build", package: "make" },
    Tool { program: "mke2fs", purpose: "makes the data partition", package: "e2fsprogs" },
    Tool { program: "mksquashfs", purpose: "makes the root file system", package: "squashfs-tools" },
    Tool {
        program: "nft",
        purpose: "loads the ruleset in a private network namespace and reads it back",
        package: "nftables",
    },
    Tool { program: "openssl", purpose: "makes peers that a tunnel must refuse", package: "openssl" },
    Tool {
        program: "openvpn",
        purpose: "makes the keys of a test's tunnel, and is its peer",
        package: "openvpn",
    },
    Tool { program: "patch", purpose: "applies the suite's patches to its sources", package: "patch" },
    Tool { program: "python3", purpose: "runs BitBake", package: "python3" },
    Tool {
        program: "qemu-system-aarch64",
        purpose: "dumps the device tree, boots and attacks",
        package: "qemu-system-arm",
    },
    Tool {
        program: "qemu-system-arm",
        purpose: "dumps the device tree, boots and attacks, of 32-bit boards",
        package: "qemu-system-arm",
    },
    Tool {
        program: "qemu-system-riscv64",
        purpose: "dumps the device tree, boots and attacks, of RISC-V boards",
        package: "qemu-system-misc",
    },
    Tool {
        program: "riscv64-linux-gnu-gcc",
        purpose: "compiles U-Boot and Linux for RISC-V",
        package: "gcc-riscv64-linux-gnu",
    },
    Tool { program: "rsyslogd", purpose: "is the collector in the proof of the events", package: "rsyslog" },
    SETPRIV,
    Tool { program: "socat", purpose: "leads a device under test to its collector", package: "socat" },
    Tool {
        program: "ssh",
        purpose: "logs in, or tries to, in the proof of the events",
        package: "openssh-client",
    },
    Tool {
        program: "ssh-keygen",
        purpose: "makes a wrong key for the proof of the events",
        package: "openssh-client",
    },
    Tool { program: "swtpm", purpose: "is the TPM of a virtual machine", package: "swtpm" },
    Tool { program: "tar", purpose: "unpacks sources", package: "tar" },
    Tool {
        program: "unshare",
        purpose: "makes a private network namespace for checks",
        package: "util-linux",
    },
    Tool { program: "xxd", purpose: "writes U-Boot's default environment", package: "xxd" },
];

/// The tool of that name.
///
/// # Errors
/// When the program is not in [`TOOLS`]: a definition names a tool that Fastness does not start.
pub fn tool(program: &str) -> Outcome<Tool> {
    TOOLS.iter().find(|tool| tool.program == program).copied().ok_or_else(|| {
        Failure::error(
            ExitStatus::Input,
            "unknown-tool",
            format!("`{program}` is not a tool that fastness starts"),
        )
        .hint("tools are listed in cli/exec/src/tool.rs")
    })
}

/// Where the tool's program is.
///
/// # Errors
/// When it is not installed; the hint names the package.
pub fn find(tool: &Tool) -> Outcome<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // An ordinary user's PATH lacks the sbin folders of nft and mke2fs, and apt's helper is in none.
    let folders =
        std::env::split_paths(&path).chain(["/usr/sbin", "/sbin", "/usr/lib/apt"].map(PathBuf::from));
    find_in(tool, folders)
}

fn find_in(tool: &Tool, folders: impl Iterator<Item = PathBuf>) -> Outcome<PathBuf> {
    folders.map(|folder| folder.join(tool.program)).find(|path| is_program(path)).ok_or_else(|| {
        Failure::error(
            ExitStatus::Environment,
            "missing-tool",
            format!("the host tool `{}` is not installed; it {}", tool.program, tool.purpose),
        )
        .hint(format!(
            "install the package `{}` (apt install {}), or run `ci/setup`",
            tool.package, tool.package
        ))
    })
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Fails when one of `programs` is not installed; the failure names all that are missing.
///
/// # Errors
/// When at least one is missing.
pub fn require(programs: &[&str]) -> Outcome<()> {
    let mut diagnostics = Vec::new();
    for program in programs {
        if let Err(failure) = tool(program).and_then(|tool| find(&tool)) {
            diagnostics.extend(failure.diagnostics);
        }
    }
    if diagnostics.is_empty() {
        Ok(())
    } else {
        Err(Failure { status: ExitStatus::Environment, diagnostics })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_sorted_and_unique() {
        assert!(TOOLS.windows(2).all(|pair| pair[0].program < pair[1].program));
    }

    #[test]
    fn a_purpose_says_what_the_tool_does() {
        // Behind "it …", in the error of a tool that is missing.
        for tool in TOOLS {
            let verb = tool.purpose.split([' ', ',']).next().unwrap_or_default();
            assert!(verb.ends_with('s') && !verb.ends_with("'s"), "{}: {}", tool.program, tool.purpose);
        }
    }

    #[test]
    fn a_missing_tool_names_its_package() {
        let failure = find_in(&TOOLS[0], [PathBuf::from("/nonexistent")].into_iter()).unwrap_err();
        assert_eq!(failure.status, ExitStatus::Environment);
        let text = failure.to_string();
        assert!(text.contains("`aarch64-linux-gnu-gcc` is not installed"), "{text}");
        assert!(text.contains("apt install gcc-aarch64-linux-gnu"), "{text}");
    }

    #[test]
    fn an_unlisted_tool_is_refused() {
        assert_eq!(tool("rm").unwrap_err().diagnostics[0].code, "unknown-tool");
    }
}
