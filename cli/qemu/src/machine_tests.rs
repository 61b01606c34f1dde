use super::*;

fn qemu() -> QemuFacts {
    QemuFacts {
        program: "qemu-system-aarch64".into(),
        machine: "virt,acpi=off".into(),
        cpu: "max".into(),
        cpus: 2,
        memory_mib: 1024,
        in_memory: false,
        on_board: false,
        report_port: None,
        tpm: None,
        watchdog: None,
    }
}

fn spec(qemu: &QemuFacts) -> MachineSpec<'_> {
    MachineSpec {
        qemu,
        interfaces: 2,
        station: 0,
        wires: false,
        networks: Vec::new(),
        tap: None,
        relays: BTreeMap::new(),
        epoch: 1_700_000_000,
        flash: "/x/a,b.bin".into(),
        direct: None,
        environment: None,
        disk: "/x/disk.img".into(),
        snapshot: true,
        memory: None,
        tpm_state: None,
        without_tpm: false,
        logs: "/x".into(),
    }
}

#[test]
fn the_command_line_isolates_the_machine() {
    let qemu = qemu();
    let words: Vec<String> = spec(&qemu).arguments().into_iter().map(|a| a.into_string().unwrap()).collect();
    let line = words.join(" ");
    assert!(line.starts_with("-machine virt,acpi=off -cpu max -smp 2 -m 1024 -nodefaults"), "{line}");
    for part in [
        "-no-reboot",
        "readonly=on,file=/x/a,,b.bin",
        "snapshot=on,file=/x/disk.img",
        "user,id=net1,restrict=on",
        "mac=02:00:00:00:00:01,bus=virtio-mmio-bus.5",
        "name=org.fastness.selfcheck",
        "-rtc base=2023-11-14T22:13:20,clock=vm",
    ] {
        assert!(line.contains(part), "`{part}` is not in `{line}`");
    }
    assert!(!line.contains("hostfwd") && !line.contains("unit=1") && !line.contains("kvm"));
    assert!(!line.contains("filter-"));
}

#[test]
fn taps_are_on_the_network_of_one_interface_each_and_on_no_wire() {
    let qemu = qemu();
    let line = |wires| {
        let at = "127.0.0.1:9".parse().unwrap();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().into();
        let behind = traffic::relay::Behind::Program { socket, address: at };
        let relays = BTreeMap::from([(0, vec![Ends { device: at, peer: at, behind }])]);
        let spec = MachineSpec { tap: Some(1), relays, wires, ..spec(&qemu) };
        spec.arguments().into_iter().map(|a| a.into_string().unwrap()).collect::<Vec<_>>().join(" ")
    };
    for part in ["filter-redirector,id=tap-in,netdev=net1", "filter-redirector,id=relay0-in,netdev=net0"] {
        assert!(line(false).contains(part), "{}", line(false));
    }
    assert!(!line(true).contains("filter-"), "{}", line(true));
}

#[test]
fn memory_that_outlives_the_machine_is_a_file_of_its_size() {
    let qemu = qemu();
    let line = |memory: Option<&str>| {
        let spec = MachineSpec { memory: memory.map(PathBuf::from), ..spec(&qemu) };
        spec.arguments().into_iter().map(|a| a.into_string().unwrap()).collect::<Vec<_>>().join(" ")
    };
    let with = line(Some("/x/ram,1"));
    let part = "-object memory-backend-file,id=ram,size=1024M,share=on,mem-path=/x/ram,,1 -machine memory-backend=ram";
    assert!(with.contains(part), "{with}");
    assert!(!line(None).contains("memory-backend"));
}

/// Found by a proof on `qemu-riscv64`: its shell read the disk in place of the script.
#[test]
fn the_second_disk_is_the_second_that_linux_finds() {
    for (program, disk, second) in [("qemu-system-aarch64", 0, 3), ("qemu-system-riscv64", 3, 0)] {
        let qemu = QemuFacts { program: program.into(), ..qemu() };
        let line = |script: Option<&str>| {
            let second = script.map(PathBuf::from);
            let direct =
                Direct { kernel: "/x/Image".into(), append: "quiet".into(), second, device_tree: None };
            let spec = MachineSpec { direct: Some(direct), ..spec(&qemu) };
            spec.arguments().into_iter().map(|a| a.into_string().unwrap()).collect::<Vec<_>>().join(" ")
        };
        let with = line(Some("/x/bench"));
        assert!(with.contains(&format!("drive=disk,bus=virtio-mmio-bus.{disk}")), "{with}");
        assert!(with.contains(&format!("drive=second,bus=virtio-mmio-bus.{second}")), "{with}");
        // Alone it stands where the boot loader looks for it.
        assert!(line(None).contains("drive=disk,bus=virtio-mmio-bus.0"));
    }
}

#[test]
fn a_kernel_without_a_boot_loader_may_have_the_image_s_device_tree() {
    let qemu = qemu();
    let line = |tree: Option<&str>| {
        let device_tree = tree.map(PathBuf::from);
        let direct = Direct { kernel: "/x/Image".into(), append: "quiet".into(), second: None, device_tree };
        let spec = MachineSpec { direct: Some(direct), ..spec(&qemu) };
        spec.arguments().into_iter().map(|a| a.into_string().unwrap()).collect::<Vec<_>>().join(" ")
    };
    let with = line(Some("/x/board.dtb"));
    assert!(with.contains("-kernel /x/Image -append quiet -dtb /x/board.dtb"), "{with}");
    assert!(!line(None).contains("-dtb"));
}

#[test]
fn a_boot_loader_in_memory_is_no_flash_bank() {
    let qemu = QemuFacts { in_memory: true, ..qemu() };
    let words: Vec<String> = spec(&qemu).arguments().into_iter().map(|a| a.into_string().unwrap()).collect();
    let line = words.join(" ");
    assert!(line.contains("-bios /x/a,b.bin") && !line.contains("pflash"), "{line}");
}

#[test]
fn a_tpm_is_there_for_boards_that_use_it_until_it_is_taken_off() {
    let line = |spec: &MachineSpec<'_>| {
        spec.arguments().into_iter().map(|a| a.into_string().unwrap()).collect::<Vec<_>>().join(" ")
    };
    let qemu = QemuFacts { tpm: Some("tpm-tis-device".into()), ..qemu() };
    let with = line(&spec(&qemu));
    let part = "-chardev socket,id=tpm-socket,path=tpm.sock -tpmdev emulator,id=tpm,chardev=tpm-socket \
                -device tpm-tis-device,tpmdev=tpm";
    assert!(with.contains(part), "{with}");
    assert!(!line(&MachineSpec { without_tpm: true, ..spec(&qemu) }).contains("tpm"));
}

#[test]
fn wires_replace_every_network() {
    let qemu = qemu();
    let spec = MachineSpec { wires: true, ..spec(&qemu) };
    let words: Vec<String> = spec.arguments().into_iter().map(|a| a.into_string().unwrap()).collect();
    let line = words.join(" ");
    assert!(!line.contains("user,"), "{line}");
    let wire = "dgram,id=net1,local.type=unix,local.path=net1.qemu,remote.type=unix,remote.path=net1.wire";
    assert!(line.contains(wire), "{line}");
}
