//! A bill for tests.

use std::collections::BTreeMap;

use crate::{Bill, Component, Kind};

fn component(kind: Kind, name: &str, purl: &str, licences: &[&str]) -> Component {
    Component {
        kind,
        name: name.to_owned(),
        version: "1.0-1".to_owned(),
        sha256: "a".repeat(64),
        hash_of: format!("{name}.deb"),
        purl: purl.to_owned(),
        source: "some-source 1.0".to_owned(),
        licences: licences.iter().map(|text| (*text).to_owned()).collect(),
        asked_by: vec!["layer base".to_owned()],
    }
}

pub fn bill() -> Bill {
    Bill {
        schema_version: 1,
        generator: "fastness 0.1.0".to_owned(),
        product: "gw".to_owned(),
        version: "1.0.0".to_owned(),
        board: "qemu-aarch64".to_owned(),
        backend: "debian".to_owned(),
        disk_sha256: "b".repeat(64),
        epoch: 1_764_547_200,
        components: vec![
            component(Kind::BootLoader, "u-boot", "pkg:generic/u-boot@1.0-1", &["GPL-2.0-only"]),
            component(
                Kind::Package,
                "libstdc++6",
                "pkg:deb/debian/libstdc%2B%2B6@1.0-1",
                &["GPL-2+", "Expat"],
            ),
            component(Kind::Package, "libstdc--6", "pkg:deb/debian/libstdc--6@1.0-1", &[]),
            component(Kind::Package, "audit", "pkg:generic/audit@1.0-1", &["GPL-2.0+ (programs)"]),
            component(Kind::File, "/etc/nftables.conf", "", &[]),
        ],
        inputs: BTreeMap::from([("compiler".to_owned(), "gcc 12".to_owned())]),
    }
}
