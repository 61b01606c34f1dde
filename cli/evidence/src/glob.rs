//! Path patterns: `*` and `?` within one part of a path, `**` for any number of parts.
//!
//! Matching is linear in pattern and path (one point of return for each kind of star), so
//! that a hostile file name cannot make it run away. It knows nothing of a file system.

/// Whether an absolute path matches an absolute pattern.
#[must_use]
pub fn matches(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = parts(pattern).collect();
    let path: Vec<&str> = parts(path).collect();
    let (mut p, mut s) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while s < path.len() {
        if p < pattern.len() && pattern[p] == "**" {
            back = Some((p, s));
            p += 1;
        } else if p < pattern.len() && part_matches(pattern[p], path[s]) {
            p += 1;
            s += 1;
        } else if let Some((star, at)) = back {
            back = Some((star, at + 1));
            p = star + 1;
            s = at + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|part| *part == "**")
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
    let (mut p, mut s) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while s < name.len() {
        if p < pattern.len() && pattern[p] == '*' {
            back = Some((p, s));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == name[s]) {
            p += 1;
            s += 1;
        } else if let Some((star, at)) = back {
            back = Some((star, at + 1));
            p = star + 1;
            s = at + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
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
    fn many_stars_end() {
        assert!(!part_matches(&"*a".repeat(200), &"a".repeat(199)));
        assert!(part_matches(&"*a".repeat(200), &"a".repeat(200)));
    }
}
