//! Path patterns: `*` and `?` within one part of a path, `**` for any number of parts; `{a,b*}` stands for each of its words
//! where a layer lists paths ([`alternatives`]).
//!
//! Matching takes at most the product of both lengths (one point of return for each kind of star), so
//! that a hostile file name cannot make it run away. It knows nothing of a file system.

/// Whether an absolute path matches an absolute pattern.
#[must_use]
pub fn matches(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = parts(pattern).collect();
    let path: Vec<&str> = parts(path).collect();
    with_stars(&pattern, &path, |part| *part == "**", |part, name| part_matches(part, name))
}

/// The patterns for which one with words in braces stands; itself, where it has none. Braces do not nest.
#[must_use]
pub fn alternatives(pattern: &str) -> Vec<String> {
    let group = pattern.split_once('{').and_then(|(before, rest)| {
        let (words, after) = rest.split_once('}')?;
        words.contains(',').then_some((before, words, after))
    });
    match group {
        Some((before, words, after)) => {
            words.split(',').flat_map(|word| alternatives(&format!("{before}{word}{after}"))).collect()
        }
        None => vec![pattern.to_owned()],
    }
}

/// Whether the text has a wildcard at all.
#[must_use]
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Whether one name matches a pattern of one part.
#[must_use]
pub fn part_matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    with_stars(&pattern, &name, |c| *c == '*', |p, c| *p == '?' || p == c)
}

/// Whether `items` match `pattern`, in which a star stands for any number of items. What a star
/// took is given back one by one, and only by the last star: earlier ones cannot help.
fn with_stars<P, T>(
    pattern: &[P],
    items: &[T],
    is_star: impl Fn(&P) -> bool,
    same: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut p, mut i) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while i < items.len() {
        if p < pattern.len() && is_star(&pattern[p]) {
            back = Some((p, i));
            p += 1;
        } else if p < pattern.len() && same(&pattern[p], &items[i]) {
            p += 1;
            i += 1;
        } else if let Some((star, at)) = back {
            back = Some((star, at + 1));
            p = star + 1;
            i = at + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(is_star)
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_in_its_part_and_two_stars_do_not() {
        assert!(matches("/etc/*.conf", "/etc/nftables.conf"));
        assert!(!matches("/etc/*.conf", "/etc/ssh/x.conf"));
        assert!(matches("/usr/**/*.so", "/usr/lib/aarch64-linux-gnu/a.so"));
        assert!(matches("/usr/**", "/usr/lib/x"));
        assert!(matches("/boot/**", "/boot"));
        assert!(!matches("/boot/*", "/boot"));
        assert!(matches("/etc/ssh/ssh_host_*_key", "/etc/ssh/ssh_host_ed25519_key"));
        assert!(!matches("/etc/ssh/ssh_host_*_key", "/etc/ssh/ssh_host_ed25519_key.pub"));
    }

    #[test]
    fn words_in_braces_stand_for_one_pattern_each() {
        assert_eq!(alternatives("/usr/*bin/{a,b*}"), ["/usr/*bin/a", "/usr/*bin/b*"]);
        assert_eq!(alternatives("/{a,b}/{c,d}"), ["/a/c", "/a/d", "/b/c", "/b/d"]);
        for plain in ["/etc/{a", "/etc/{a}", "/etc/a}", "/etc/*"] {
            assert_eq!(alternatives(plain), [plain]);
        }
    }

    #[test]
    fn many_stars_end() {
        assert!(!part_matches(&"*a".repeat(200), &"a".repeat(199)));
        assert!(part_matches(&"*a".repeat(200), &"a".repeat(200)));
    }
}
