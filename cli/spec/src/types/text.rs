//! Names, paths, symbols and free text.

use serde_json::{Value, json};

use super::{Scalar, Why};

/// Declares a text with a narrow alphabet: its type, what is expected, the schema's pattern and
/// the same rule in Rust.
macro_rules! text_type {
    ($(#[doc = $about:literal])* $name:ident, $expected:literal, $pattern:literal, |$text:ident| $rule:expr) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl $crate::types::Scalar for $name {
            const EXPECTED: &'static str = $expected;
            fn parse($text: &str, _: bool) -> Result<Self, $crate::types::Why> {
                if $rule { Ok(Self($text.to_owned())) } else { Err($crate::types::Why::default()) }
            }
            fn schema() -> serde_json::Value {
                serde_json::json!({"type": "string", "pattern": $pattern})
            }
            fn to_json(&self) -> serde_json::Value {
                self.0.clone().into()
            }
        }
    };
}

pub(crate) use text_type;

/// Whether a text starts with one of `first` and goes on with `rest` only.
pub(super) fn is_word(text: &str, first: fn(char) -> bool, rest: fn(char) -> bool) -> bool {
    let mut chars = text.chars();
    text.len() <= 255 && chars.next().is_some_and(first) && chars.all(rest)
}

fn lower(c: char) -> bool {
    c.is_ascii_lowercase()
}

pub(super) fn alnum(c: char) -> bool {
    c.is_ascii_alphanumeric()
}

text_type! {
    /// A name that may become a file name, a key or part of an identifier.
    Name,
    "a name (lower-case letters, digits and hyphens, a letter first)",
    "^[a-z][a-z0-9-]*$",
    |text| text.len() <= 64 && is_word(text, lower, |c| lower(c) || c.is_ascii_digit() || c == '-')
}

text_type! {
    /// A parameter's name, as templates write it.
    ParameterName,
    "a parameter name (lower-case letters, digits, `_` and `-`, a letter first)",
    "^[a-z][a-z0-9_-]*$",
    |text| is_word(text, lower, |c| lower(c) || c.is_ascii_digit() || matches!(c, '-' | '_'))
}

text_type! {
    /// A word without spaces or quotes: an architecture, a device, a machine option list.
    Word,
    "a word (letters, digits and `. _ - + , = : / @`)",
    "^[A-Za-z0-9._+,=:/@-]+$",
    |text| is_word(text, |c| alnum(c) || ".-_+,=:/@".contains(c), |c| alnum(c) || ".-_+,=:/@".contains(c))
}

text_type! {
    /// A make target or file name in `configs/`, from which a configuration starts.
    ConfigTarget,
    "a configuration target (`qemu_arm64_defconfig`, `allnoconfig`)",
    "^[A-Za-z0-9][A-Za-z0-9._-]*$",
    |text| is_word(text, alnum, |c| alnum(c) || "._-".contains(c))
}

text_type! {
    /// A signature algorithm as U-Boot spells it (`boot/image-sig.c`).
    Algorithm,
    "a signature algorithm (`sha256,rsa3072`)",
    "^[a-z0-9]+,[a-z0-9]+$",
    |text| text.split_once(',').is_some_and(|(hash, key)| {
        let clean = |part: &str| !part.is_empty() && part.chars().all(|c| lower(c) || c.is_ascii_digit());
        clean(hash) && clean(key)
    })
}

text_type! {
    /// A key's name: a file stem and a device tree property's value.
    KeyName,
    "a key name (letters, digits, `_`, `-` and `.`, a letter or digit first)",
    "^[A-Za-z0-9][A-Za-z0-9._-]*$",
    |text| text.len() <= 64 && is_word(text, alnum, |c| alnum(c) || "._-".contains(c))
}

text_type! {
    /// A Kconfig symbol without `CONFIG_`.
    KconfigSymbol,
    "a Kconfig symbol without `CONFIG_` (`FIT_SIGNATURE`)",
    "^(?!CONFIG_)[A-Za-z0-9_]+$",
    |text| is_word(text, |c| alnum(c) || c == '_', |c| alnum(c) || c == '_') && !text.starts_with("CONFIG_")
}

text_type! {
    /// A requirement's id (`CR 1.1`, `SR 3.4 RE 1`, `kern.sysctl`).
    RequirementId,
    "a requirement id (`CR 1.1`)",
    "^[A-Za-z0-9][A-Za-z0-9 ._()-]*$",
    |text| !text.ends_with(' ') && is_word(text, alnum, |c| alnum(c) || " ._()-".contains(c))
}

text_type! {
    /// A check's id: words with dots (`sshd.root-login`). It may become a file name.
    CheckId,
    "a check id (`sshd.root-login`: lower-case letters, digits, `-`, `_` and `.`)",
    "^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$",
    |text| !text.contains("..")
        && text.ends_with(|c| lower(c) || c.is_ascii_digit())
        && is_word(text, |c| lower(c) || c.is_ascii_digit(), |c| lower(c) || c.is_ascii_digit() || "._-".contains(c))
}

text_type! {
    /// A kind of check.
    CheckKind,
    "a kind of check (`file-mode`)",
    "^[a-z][a-z0-9-]*$",
    |text| is_word(text, lower, |c| lower(c) || c.is_ascii_digit() || c == '-')
}

text_type! {
    /// What a waiver is for: a check's id, or `tool:SYMBOL`.
    WaiverTarget,
    "a check id, `linux:SYMBOL`, `uboot:SYMBOL`, `buildroot:SYMBOL`, `busybox:SYMBOL`, `kernel-hardening-checker:NAME`, `threat:ID` or `facts:AREA:FACT`",
    "^(facts:[a-z]+:[!-~]([ -~]*[!-~])?|[A-Za-z0-9][A-Za-z0-9._:-]*)$",
    |text| match text.strip_prefix("facts:") {
        // A fact's name may be a path, a rule or a pattern.
        Some(fact) => !fact.ends_with(' ') && fact.chars().all(|c| matches!(c, ' '..='~')),
        None => is_word(text, alnum, |c| alnum(c) || "._:-".contains(c)),
    }
}

text_type! {
    /// A sysctl key; a glob in place of an interface (`net.ipv4.conf.*.rp_filter`) is allowed.
    SysctlKey,
    "a sysctl key (`kernel.kptr_restrict`)",
    "^[a-z][a-z0-9_]*(\\.[A-Za-z0-9_*-]+)+$",
    |text| text.contains('.')
        && text.starts_with(lower)
        && text.split('.').all(|part| is_word(part, |c| alnum(c) || "_*-".contains(c), |c| alnum(c) || "_*-".contains(c)))
}

text_type! {
    /// The value of a sysctl: words and numbers with single spaces.
    SysctlValue,
    "a sysctl value (letters, digits, spaces and `. _ - + , / | %`)",
    "^[A-Za-z0-9._+,/|%-]+( [A-Za-z0-9._+,/|%-]+)*$",
    |text| text.len() <= 255 && text.split(' ').all(|part| {
        !part.is_empty() && part.chars().all(|c| alnum(c) || "._-+,/|%".contains(c))
    })
}

text_type! {
    /// A systemd unit's whole name with its suffix (systemd.unit(5)).
    UnitName,
    "a unit name with its suffix (`ssh.service`)",
    "^[A-Za-z0-9:_.@\\\\-]+\\.(service|socket|target|timer|mount|automount|path|swap|slice|device)$",
    |text| text.rsplit_once('.').is_some_and(|(stem, kind)| {
        let kinds = ["service", "socket", "target", "timer", "mount", "automount", "path", "swap", "slice", "device"];
        let part = |c: char| alnum(c) || ":_.@\\-".contains(c);
        kinds.contains(&kind) && is_word(stem, part, part) && !stem.starts_with('.')
    })
}

text_type! {
    /// A user's or group's name (useradd(8)).
    UserName,
    "a user or group name (lower-case letters, digits, `_` and `-`; at most 32)",
    "^[a-z_][a-z0-9_-]{0,31}$",
    |text| text.len() <= 32
        && is_word(text, |c| lower(c) || c == '_', |c| lower(c) || c.is_ascii_digit() || matches!(c, '_' | '-'))
}

text_type! {
    /// A Debian package's name (Debian Policy 5.6.7).
    PackageName,
    "a package name (lower-case letters, digits, `+`, `-` and `.`)",
    "^[a-z0-9][a-z0-9+.-]+$",
    |text| text.len() >= 2
        && is_word(text, |c| lower(c) || c.is_ascii_digit(), |c| lower(c) || c.is_ascii_digit() || "+.-".contains(c))
}

text_type! {
    /// A version of the product.
    Version,
    "a version (`1.0.0`: digits first, then letters, digits, `.`, `-`, `+` and `~`)",
    "^[0-9][A-Za-z0-9.+~-]*$",
    |text| text.len() <= 64 && is_word(text, |c| c.is_ascii_digit(), |c| alnum(c) || ".+~-".contains(c))
}

text_type! {
    /// Where packages come from.
    Mirror,
    "a mirror (`https://…`, `http://…` or `file:/…`)",
    "^(https?://|file:/)[A-Za-z0-9._~:/?=&%+-]+$",
    |text| ["https://", "http://", "file:/"].iter().any(|scheme| {
        text.strip_prefix(scheme).is_some_and(|rest| {
            is_word(rest, |c| alnum(c) || "._~:/?=&%+-".contains(c), |c| alnum(c) || "._~:/?=&%+-".contains(c))
        })
    })
}

fn is_path(text: &str, also: &str) -> bool {
    text.len() <= 4096
        && text.len() > 1
        && text.starts_with('/')
        && !text.ends_with('/')
        && text[1..].split('/').all(|part| !matches!(part, "" | "." | ".."))
        && text.chars().all(|c| alnum(c) || "/._-+@:~,=%\\".contains(c) || also.contains(c))
}

text_type! {
    /// An absolute path without `.`, `..`, doubled slashes, spaces or quotes.
    AbsPath,
    "an absolute path without `..`, spaces and quotes",
    "^(/(?!\\.{1,2}(/|$))[A-Za-z0-9._+@:~,=%\\\\-]+)+$",
    |text| is_path(text, "")
}

text_type! {
    /// A pattern of absolute paths with `*` (within a name) and `**` (any depth).
    Glob,
    "an absolute path, `*` and `**` allowed, without `..`",
    "^(/(?!\\.{1,2}(/|$))[A-Za-z0-9._+@:~,=%*?\\[\\]\\\\-]+)+$",
    |text| is_path(text, "*?[]")
}

text_type! {
    /// A symbolic link's target as stored; it may be relative and climb.
    LinkTarget,
    "a link target (letters, digits and `/ . _ - + @ : ~`)",
    "^[A-Za-z0-9/._+@:~-]+$",
    |text| !text.is_empty() && text.len() <= 4095 && text.chars().all(|c| alnum(c) || "/._-+@:~".contains(c))
}

text_type! {
    /// A file below `templates/`.
    TemplatePath,
    "a template's path below `templates/` that ends in `.hbs`",
    "^([A-Za-z0-9_][A-Za-z0-9._-]*/)*[A-Za-z0-9_][A-Za-z0-9._-]*\\.hbs$",
    |text| text.ends_with(".hbs")
        && text.split('/').all(|part| is_word(part, |c| alnum(c) || c == '_', |c| alnum(c) || "._-".contains(c)))
}

text_type! {
    /// A patch below its layer's folder.
    PatchPath,
    "a patch's path below its layer's folder that ends in `.patch`",
    "^([A-Za-z0-9_][A-Za-z0-9._-]*/)*[A-Za-z0-9_][A-Za-z0-9._-]*\\.patch$",
    |text| text.ends_with(".patch")
        && text.split('/').all(|part| is_word(part, |c| alnum(c) || c == '_', |c| alnum(c) || "._-".contains(c)))
}

text_type! {
    /// One argument of the kernel command line.
    Argument,
    "a kernel argument (printable, without spaces and quotes)",
    "^[A-Za-z0-9_][!#-&(-~]*$",
    |text| text.len() <= 1024
        && is_argument_start(text)
        && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\''))
}

fn is_argument_start(text: &str) -> bool {
    text.starts_with(|c| alnum(c) || c == '_')
}

text_type! {
    /// One line of text for people: not empty, no control characters, no leading or trailing space.
    Text,
    "one line of text",
    "^\\S([^\\u0000-\\u001f\\u007f]*\\S)?$",
    |text| !text.is_empty() && text.trim() == text && text.len() <= 4096 && !text.chars().any(char::is_control)
}

text_type! {
    /// Text of several lines, for people or as a short file.
    Banner,
    "text without control characters",
    "\\S",
    |text| !text.trim().is_empty() && text.len() <= 16_384 && !text.chars().any(|c| c.is_control() && c != '\n')
}

/// Why something is asked; never empty. White space is folded to single spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(pub String);

/// An octal file mode of four digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mode(String);

impl Mode {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Scalar for Mode {
    const EXPECTED: &'static str = "an octal mode of four digits (`0644`)";
    fn parse(text: &str, _: bool) -> Result<Self, Why> {
        let octal = !text.is_empty() && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        match (octal, text.len()) {
            (true, 4) => Ok(Self(text.to_owned())),
            (true, 3) => Err(Why { reason: String::new(), hint: Some(format!("write `0{text}`")) }),
            _ => Err(Why::default()),
        }
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[0-7]{4}$"})
    }
    fn to_json(&self) -> Value {
        self.0.clone().into()
    }
}

/// A Kconfig value, kept as a `.config` has it: `y`, `n`, `"text"`, `42` or `0x10`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KconfigValue(String);

impl KconfigValue {
    /// As in a `.config`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A string value: quoted, with `"` and `\` escaped as Kconfig's `sym_escape_string` does.
    ///
    /// # Errors
    /// The text has a character that a `.config` line cannot hold.
    pub fn string(text: &str) -> Result<Self, Why> {
        if text.chars().any(char::is_control) {
            return Err("a Kconfig string is one line without control characters".into());
        }
        Ok(Self(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))))
    }
}

impl Scalar for KconfigValue {
    const EXPECTED: &'static str = "a Kconfig value (`y`, `n`, a number, `0x…` or text)";
    fn parse(text: &str, _: bool) -> Result<Self, Why> {
        let decimal = {
            let digits = text.strip_prefix('-').unwrap_or(text);
            !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
        };
        let hexadecimal = text
            .strip_prefix("0x")
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit()));
        if matches!(text, "y" | "n") || decimal || hexadecimal {
            return Ok(Self(text.to_owned()));
        }
        if text == "m" {
            return Err(Why {
                reason: "modules are off".to_owned(),
                hint: Some("build it in with `y`, or leave it out with `n`".to_owned()),
            });
        }
        if text.len() >= 2 && text.starts_with('"') && text.ends_with('"') {
            let inner = &text[1..text.len() - 1];
            if inner.replace("\\\\", "").replace("\\\"", "").contains(['"', '\\'])
                || inner.chars().any(char::is_control)
            {
                return Err("`\"` and `\\` inside the quotes are written `\\\"` and `\\\\`".into());
            }
            return Ok(Self(text.to_owned()));
        }
        Self::string(text)
    }
    fn schema() -> Value {
        json!({"type": ["string", "integer"], "not": {"const": "m"}})
    }
    fn to_json(&self) -> Value {
        self.0.clone().into()
    }
}

text_type! {
    /// A GUID, such as the type of a partition (UEFI, appendix A).
    GuidText,
    "a GUID (`0FC63DAF-8483-4772-8E79-3D69D8477DE4`)",
    "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
    |text| text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
        && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Scalar>(good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(T::parse(text, true).is_ok(), "refused as {}: {text:?}", T::EXPECTED);
        }
        for text in bad {
            assert!(T::parse(text, true).is_err(), "accepted as {}: {text:?}", T::EXPECTED);
        }
    }

    #[test]
    fn every_alphabet_takes_its_own_and_refuses_what_could_inject() {
        check::<Name>(&["a", "cell-gateway", "x9"], &["", "9a", "A", "a_b", "a b", "a\n", "é", "../a"]);
        check::<ParameterName>(&["port", "max_auth"], &["Port", "a.b", ""]);
        check::<Word>(&["aarch64-linux-gnu-", "virt,gic-version=3"], &["a b", "a\"", "", "a;b"]);
        check::<Algorithm>(&["sha256,rsa3072"], &["sha256", "sha256,", "SHA256,rsa", "a,b,c"]);
        check::<KconfigSymbol>(&["FIT_SIGNATURE", "64BIT"], &["CONFIG_FIT", "A-B", "", "A=y"]);
        check::<RequirementId>(&["CR 1.1", "SR 3.4 RE 1"], &["", " CR", "CR ", "CR\n1"]);
        check::<CheckId>(&["sshd.root-login", "a"], &["", ".a", "a.", "a..b", "a/b", "A"]);
        check::<SysctlKey>(
            &["kernel.kptr_restrict", "net.ipv4.conf.*.rp_filter"],
            &["kernel", "a..b", ".a", "a.b=1", "a. b"],
        );
        check::<SysctlValue>(&["2", "|/bin/false", "32768 60999"], &["", " 1", "a\nb", "a = \"b\""]);
        check::<UnitName>(
            &["ssh.service", "getty@tty1.service"],
            &["ssh", "a b.service", ".service", "a/b.mount"],
        );
        check::<UserName>(&["_chrony", "maintenance"], &["Root", "a:b", "", "9a"]);
        check::<PackageName>(&["openssh-server", "libc6", "g++"], &["", "A", "a", "a=1"]);
        check::<Version>(&["1.0.0", "2.1~rc1"], &["v1", "", "1 0"]);
        check::<Mirror>(
            &["https://mirror.example/debian", "file:/srv/mirror"],
            &["ftp://x", "https://", "http://a b"],
        );
        check::<AbsPath>(
            &["/etc/ssh/sshd_config", "/a"],
            &["/", "a", "/a/../b", "/a//b", "/a/", "/a b", "/a\"", "/./a", "/a*"],
        );
        check::<Glob>(&["/usr/share/doc/**", "/usr/lib/*.a"], &["usr/**", "/../**", "/a/ **"]);
        check::<TemplatePath>(
            &["ssh/sshd_config.hbs"],
            &["../a.hbs", "/a.hbs", "a", "a/../b.hbs", "a//b.hbs", ".a.hbs"],
        );
        check::<PatchPath>(
            &["uboot/0001-a.patch"],
            &["../a.patch", "/a.patch", "a.diff", "a/../b.patch", ".a.patch"],
        );
        check::<Argument>(&["audit=1", "lsm=a,b"], &["a b", "\"", "", "-a", "a\n"]);
        check::<Text>(&["One line."], &["", " a", "a\nb", "a\u{7}"]);
        check::<Banner>(&["Two\nlines\n"], &["", " \n", "a\u{1b}[0m"]);
        check::<GuidText>(
            &["0FC63DAF-8483-4772-8E79-3D69D8477DE4", "0fc63daf-8483-4772-8e79-3d69d8477de4"],
            &["", "0FC63DAF84834772-8E79-3D69D8477DE4", "0FC63DAG-8483-4772-8E79-3D69D8477DE4"],
        );
        check::<Mode>(&["0644", "4755"], &["644", "0888", "", "u+x", "00644"]);
    }

    #[test]
    fn kconfig_values_are_as_the_config_file_has_them() {
        let value = |text| KconfigValue::parse(text, true).map(|v| v.0);
        assert_eq!(value("y"), Ok("y".into()));
        assert_eq!(value("0x40"), Ok("0x40".into()));
        assert_eq!(value("-1"), Ok("-1".into()));
        assert_eq!(value("run \"a\\b\""), Ok(r#""run \"a\\b\"""#.into()));
        assert_eq!(value("\"42\""), Ok("\"42\"".into()));
        assert_eq!(value("m").map_err(|why| why.reason), Err("modules are off".into()));
        assert!(value("\"a\"b\"").is_err() && value("\"\\\"").is_err() && value("a\nCONFIG_X=y").is_err());
        assert!(Mode::parse("644", true).is_err_and(|why| why.hint.as_deref() == Some("write `0644`")));
    }
}
