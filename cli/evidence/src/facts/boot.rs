//! Facts of the boot chain: keys, signature, command line, verity, and both configurations.

use super::Values;
use crate::Unable;
use crate::kinds::{kernel_parameter, kernel_words};
use crate::open::verity::arguments;
use crate::subject::Subject;

/// Keys that the boot loader trusts, and whether the FIT verifies with them.
pub fn signature(subject: &Subject) -> Result<Values, Unable> {
    let uboot = subject.uboot();
    let fit = subject.fit();
    // Each may be inspected alone; only without both there is nothing to say.
    if let (Err(uboot), Err(_)) = (&uboot, &fit) {
        return Err(uboot.clone());
    }
    let mut values = Values::new();
    match uboot {
        Ok(uboot) => {
            values.insert("control FDTs".into(), uboot.control_fdts.to_string());
            values.insert("required-mode".into(), uboot.required_mode.clone());
            for key in &uboot.keys {
                let mut add = |what: &str, value: String| {
                    values.insert(format!("key {}: {what}", key.name), value);
                };
                add("algorithm", key.algorithm.clone());
                add("bits", key.bits.to_string());
                add("fingerprint", format!("sha256:{}", key.fingerprint));
                add("required", key.required.clone().unwrap_or_else(|| "no".to_owned()));
            }
        }
        Err(why) => {
            values.insert("U-Boot".into(), why.why);
        }
    }
    match fit {
        Ok(fit) => {
            for (image, digest) in &fit.images {
                // The digest is of the content, which is compared elsewhere; its algorithm is a parameter.
                let algorithm = digest.split(':').next().unwrap_or_default();
                values.insert(format!("FIT image {image}"), format!("digest {algorithm}"));
            }
            let verified = match &fit.verified {
                None => "no boot loader to say whose signature counts".to_owned(),
                Some(Ok(_)) => "yes".to_owned(),
                Some(Err(problems)) => format!("no: {}", problems.join("; ")),
            };
            values.insert("FIT verifies".into(), verified);
        }
        Err(why) => {
            values.insert("FIT".into(), why.why);
        }
    }
    if let Some(Ok(record)) = &subject.image {
        values.insert("recorded algorithm".into(), record.algorithm.clone());
        values.insert("recorded padding".into(), record.padding.clone());
    }
    Ok(values)
}

/// Parameters of the verified root, from the signed command line, and whether the data fit them.
pub fn verity(subject: &Subject) -> Result<Values, Unable> {
    let verity = subject.verity()?;
    let cmdline = subject.fit()?.cmdline()?;
    let found = arguments(&cmdline)
        .map_err(|why| Unable::broken(format!("the signed command line names no verity root: {why}")))?;
    let mut values = Values::new();
    let mut add = |what: &str, value: String| {
        values.insert(what.to_owned(), value);
    };
    add("block bytes", format!("{} {}", found.blocks[0], found.blocks[1]));
    add("data blocks", found.data_blocks.to_string());
    add("devices", found.devices.join(" "));
    add("root hash", found.root.clone());
    add("salt", found.salt.iter().map(|byte| format!("{byte:02x}")).collect());
    add("options", found.options.join(" "));
    add(
        "data",
        match &verity.found {
            Ok(root) if *root == found.root => "give the root hash".to_owned(),
            Ok(_) => "give another root hash".to_owned(),
            Err(why) => format!("do not verify: {why}"),
        },
    );
    Ok(values)
}

/// Each parameter; verity's own are in their area.
pub fn cmdline(subject: &Subject) -> Result<Values, Unable> {
    let mut values = Values::new();
    for word in kernel_words(&subject.fit()?.cmdline()?) {
        let (name, value) = kernel_parameter(&word);
        let value = match value {
            Some(_) if name == "dm_mod.create" && arguments(&format!("root=/dev/dm-0 {word}")).is_ok() => {
                "a verity table".to_owned()
            }
            Some(value) => format!("={value}"),
            None => "given".to_owned(),
        };
        // The order of one parameter's values decides which counts.
        values.entry(name).and_modify(|all| *all += &format!(" then {value}")).or_insert(value);
    }
    Ok(values)
}

/// Every symbol that is set in the configuration which the kernel carries.
pub fn kernel(subject: &Subject) -> Result<Values, Unable> {
    let text = subject.fit()?.kconfig.as_ref();
    symbols(text.map_err(|why| Unable::broken(format!("the kernel's configuration: {why}")))?)
}

/// Every symbol that is set in U-Boot's recorded configuration.
pub fn uboot(subject: &Subject) -> Result<Values, Unable> {
    symbols(subject.uboot_config()?)
}

fn symbols(config: &str) -> Result<Values, Unable> {
    let set = config.lines().filter_map(|line| line.strip_prefix("CONFIG_")?.split_once('='));
    let mut values: Values = set.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    if values.is_empty() {
        return Err(Unable::broken("the configuration sets no symbol: it is not whole"));
    }
    // `# Linux/arm64 6.12.30 Kernel Configuration`, `# U-Boot 2025.01 Configuration`.
    if let Some(version) = config.lines().find_map(|line| {
        let words = line.strip_prefix("# ")?.strip_suffix(" Configuration")?;
        words.split_whitespace().nth(1).map(str::to_owned)
    }) {
        values.insert("(version)".into(), version);
    }
    Ok(values)
}
