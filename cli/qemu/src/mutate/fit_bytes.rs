//! Changes of the FIT as bytes: nothing else moves.

use diag::Outcome;
use fit::fdt::Tree;

use super::{Case, Foreign, Half, bad_fit, payload, unfit};

/// Offset and size of a property's value in the FIT.
pub(super) fn place(fit: &[u8], node: &str, property: &str) -> Outcome<(usize, usize)> {
    let tree = Tree::parse(fit).map_err(|e| bad_fit(&e))?;
    let found = tree.root.at(node).and_then(|node| node.get(property));
    let value = found.ok_or_else(|| unfit(format!("the FIT has no property `{property}` at `{node}`")))?;
    // A tree that was just read borrows its values from the blob.
    let offset = (value.as_ptr() as usize).checked_sub(fit.as_ptr() as usize);
    let offset = offset.filter(|at| fit.get(*at..*at + value.len()) == Some(value));
    offset
        .map(|at| (at, value.len()))
        .ok_or_else(|| unfit(format!("`{property}` of `{node}` is not in the FIT")))
}

pub(super) fn flip_byte(
    case: &mut Case<'_>,
    node: &str,
    property: &str,
    at: Option<usize>,
) -> Outcome<String> {
    let (offset, size) = place(&case.fit, node, property)?;
    let at = at.unwrap_or(size / 2);
    if at >= size {
        return Err(unfit(format!("`{property}` of `{node}` has {size} bytes, there is no byte {at}")));
    }
    case.fit[offset + at] ^= 1;
    Ok(format!(
        "bit 0 of byte {at} of `{property}` of `{node}` flipped (offset {:#x} of the FIT)",
        offset + at
    ))
}

pub(super) fn fill(
    case: &mut Case<'_>,
    node: &str,
    property: &str,
    byte: u8,
    part: Option<Half>,
) -> Outcome<String> {
    let (offset, size) = place(&case.fit, node, property)?;
    let (from, to, which) = match part {
        None => (0, size, "all of"),
        Some(Half::First) => (0, size / 2, "the first half of"),
        Some(Half::Second) => (size / 2, size, "the second half of"),
    };
    let target = &mut case.fit[offset + from..offset + to];
    if target.iter().all(|there| *there == byte) {
        return Err(unfit(format!("{which} `{property}` of `{node}` is {byte:#04x} already")));
    }
    target.fill(byte);
    Ok(format!("{which} `{property}` of `{node}` is {byte:#04x}"))
}

pub(super) fn truncate(case: &mut Case<'_>, percent: u8) -> Outcome<String> {
    let keep = case.fit.len() / 100 * usize::from(percent.min(99));
    let was = case.fit.len();
    case.fit.truncate(keep);
    Ok(format!("the FIT of {was} bytes ends after {keep}"))
}

pub(super) fn declare_size(case: &mut Case<'_>, bytes: u32) -> Outcome<String> {
    // Devicetree Specification 0.4, 5.2: `totalsize` is the header's second word.
    let field = case.fit.get_mut(4..8).ok_or_else(|| unfit("the FIT has no header"))?;
    field.copy_from_slice(&bytes.to_be_bytes());
    Ok(format!("the FIT's header claims {bytes:#x} bytes"))
}

pub(super) fn declare_length(case: &mut Case<'_>, node: &str, property: &str, bytes: u32) -> Outcome<String> {
    let (offset, size) = place(&case.fit, node, property)?;
    // Devicetree Specification 0.4, 5.4.1: the length is the first of the two words before the value.
    let field = offset.checked_sub(8).and_then(|at| case.fit.get_mut(at..at + 4));
    let field = field.ok_or_else(|| unfit(format!("`{property}` of `{node}` has no length")))?;
    field.copy_from_slice(&bytes.to_be_bytes());
    Ok(format!("`{property}` of `{node}` of {size} bytes claims {bytes:#x}"))
}

pub(super) fn replace(case: &mut Case<'_>, with: Foreign) -> Outcome<String> {
    let address = u32::try_from(case.subject.kernel_address).unwrap_or(0);
    let architecture = case.subject.architecture;
    let (bytes, what) = match with {
        Foreign::RawImage => (payload::raw_kernel(architecture), "a raw kernel"),
        Foreign::LegacyImage => {
            let kernel = payload::raw_kernel(architecture);
            let image = payload::legacy_image(architecture, payload::LEGACY_KERNEL, &kernel, address);
            (image, "a legacy uImage")
        }
        Foreign::LegacyScript => {
            let script =
                payload::legacy_script("echo FASTNESS-ATTACKER; setenv verify n; bootm 50000000#conf\n");
            let image = payload::legacy_image(architecture, payload::LEGACY_SCRIPT, &script, 0);
            (image, "a legacy script image")
        }
        Foreign::Efi => (payload::efi_program(architecture), "an EFI program"),
        Foreign::Nothing => (Vec::new(), "nothing (zeros)"),
    };
    case.fit = bytes;
    Ok(format!("the slots hold {what} and no FIT"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, fit_of};
    use super::super::{Foreign, Half, Mutation};

    #[test]
    fn a_flipped_byte_changes_one_bit_of_that_property() {
        let bench = Bench::new();
        let flip = Mutation::FlipByte { node: "/images/kernel".into(), property: "data".into(), at: Some(3) };
        let (words, case) = bench.run(&[flip]);
        let changed: Vec<usize> =
            (0..case.fit.len()).filter(|at| case.fit[*at] != bench.subject.fit[*at]).collect();
        assert_eq!(changed.len(), 1);
        assert!(words.contains("byte 3 of `data` of `/images/kernel`"), "{words}");
        assert!(words.contains(&format!("{:#x}", changed[0])), "{words}");
        assert_eq!(bench.slot(&case, "fit_a"), case.fit);
        assert_eq!(bench.slot(&case, "fit_b"), case.fit);
    }

    #[test]
    fn nothing_to_flip_is_an_error() {
        let bench = Bench::new();
        let flip = |node: &str, at| Mutation::FlipByte { node: node.into(), property: "data".into(), at };
        let text = bench.fails(&[flip("/images/ghost", None)]);
        assert!(text.contains("no property `data` at `/images/ghost`"), "{text}");
        let text = bench.fails(&[flip("/images/kernel", Some(1 << 20))]);
        assert!(text.contains("there is no byte 1048576"), "{text}");
    }

    #[test]
    fn a_property_is_filled_in_whole_or_by_halves() {
        let bench = Bench::new();
        let value = |fit: &[u8]| {
            let tree = fit_of(fit);
            tree.root.at("/configurations/conf/signature-1").unwrap().get("value").unwrap().to_vec()
        };
        let fill = |part| Mutation::Fill {
            node: "/configurations/conf/signature-1".into(),
            property: "value".into(),
            byte: 0xff,
            part,
        };
        let good = value(&bench.subject.fit);
        let half = good.len() / 2;
        let (words, case) = bench.run(&[fill(Some(Half::First))]);
        assert_eq!(value(&case.fit), [&vec![0xff; half][..], &good[half..]].concat());
        assert!(words.contains("the first half of `value`") && words.contains("0xff"), "{words}");
        let (_, case) = bench.run(&[fill(Some(Half::Second))]);
        assert_eq!(value(&case.fit), [&good[..half], &vec![0xff; half]].concat());
        let (_, case) = bench.run(&[fill(None)]);
        assert_eq!(value(&case.fit), vec![0xff; good.len()]);
        let text = bench.fails(&[fill(None), fill(Some(Half::First))]);
        assert!(
            text.contains("the first half of `value` of `/configurations/conf/signature-1` is 0xff already"),
            "{text}"
        );
    }

    #[test]
    fn sizes_can_lie() {
        let bench = Bench::new();
        let (_, case) = bench.run(&[Mutation::DeclareSize { bytes: 0x7fff_0000 }]);
        assert_eq!(case.fit[4..8], [0x7f, 0xff, 0, 0]);
        let (words, case) = bench.run(&[Mutation::Truncate { percent: 50 }]);
        assert!(case.fit.len() <= bench.subject.fit.len() / 2, "{words}");
        // What stood there before is gone, too.
        let slot = bench.read("fit_a", case.fit.len(), bench.subject.fit.len() - case.fit.len(), &case);
        assert!(slot.iter().all(|b| *b == 0));
    }

    #[test]
    fn a_property_can_lie_about_its_length() {
        let bench = Bench::new();
        let lie = |property: &str, bytes| Mutation::DeclareLength {
            node: "/configurations/conf".into(),
            property: property.into(),
            bytes,
        };
        let (words, case) = bench.run(&[lie("kernel", 0xffff_fff4)]);
        assert_eq!(words, "`kernel` of `/configurations/conf` of 7 bytes claims 0xfffffff4");
        let changed: Vec<usize> =
            (0..case.fit.len()).filter(|at| case.fit[*at] != bench.subject.fit[*at]).collect();
        let (from, to) = (changed[0], changed[changed.len() - 1]);
        assert_eq!((to - from, &case.fit[from..=to]), (3, &[0xff, 0xff, 0xff, 0xf4][..]));
        assert_eq!(case.fit[from - 4..from], [0, 0, 0, 3], "behind the tag of a property");
        assert_eq!(&case.fit[to + 5..to + 12], b"kernel\0");
        let text = bench.fails(&[lie("ghost", 0)]);
        assert!(text.contains("no property `ghost` at `/configurations/conf`"), "{text}");
    }

    #[test]
    fn something_else_can_take_the_fits_place() {
        let bench = Bench::new();
        let (_, case) = bench.run(&[Mutation::ReplaceFit { with: Foreign::LegacyImage }]);
        assert_eq!(case.fit[..4], [0x27, 0x05, 0x19, 0x56]);
        let (_, case) = bench.run(&[Mutation::ReplaceFit { with: Foreign::RawImage }]);
        assert_eq!(&case.fit[56..60], b"ARM\x64");
        let (_, case) = bench.run(&[Mutation::ReplaceFit { with: Foreign::Efi }]);
        assert_eq!(&case.fit[..2], b"MZ");
        let (_, case) = bench.run(&[Mutation::ReplaceFit { with: Foreign::Nothing }]);
        assert!(case.fit.is_empty() && bench.read("fit_b", 0, 64, &case) == [0; 64]);
        assert!(fit_of(&bench.subject.fit).root.at("/images/kernel").is_some());
    }
}
